"""Small widgets and manners that the panels share."""

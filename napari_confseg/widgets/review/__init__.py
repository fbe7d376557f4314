"""The Review panel: what several raters said, and what an adjudicator makes of it."""

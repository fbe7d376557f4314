"""The demonstration, and the simulated hand that can carry it out."""

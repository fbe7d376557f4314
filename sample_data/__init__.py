"""A synthetic lung-ultrasound cohort whose truth is known."""

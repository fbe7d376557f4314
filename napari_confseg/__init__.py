"""Label lung-ultrasound clips with a confidence per stroke, and train from it."""

__version__ = "0.2.0"

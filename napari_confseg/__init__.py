"""Label lung-ultrasound clips with a confidence per stroke, and train from it."""

__version__ = "0.1.0"

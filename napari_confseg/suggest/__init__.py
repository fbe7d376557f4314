"""Suggestions of a model: what viewer and model process say to each other, and the process."""

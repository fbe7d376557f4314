"""Reviewing what several raters said of a clip, and adjudicating where they differ."""

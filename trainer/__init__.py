"""The trainer: reads cohorts, fits confidence-aware models, scores them, marks clips."""

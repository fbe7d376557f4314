"""Train from confidence: read planes, learn, predict, score. Torch lives here and nowhere else."""

"""Three machines as real processes on one rater: ``python -m tests.store.nemesis FOLDER``."""

"""Fuzzing of everything that is read: files are damaged, and reading them must end in a sentence.

``python -m tests.fuzz --kind stores --rounds 2000`` runs many, the suite a few.
"""

"""The trainer of napari-confseg: read planes, learn, predict, score.

Torch lives here and nowhere else.
"""

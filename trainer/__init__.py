"""The trainer of napari-confseg: reading, fitting, prediction and scores, all with torch."""

"""Painting tools: pure functions from arrays to arrays, without state.

Most tools return a *proposal*: ``uint8 (Y, X)``, where 0 says nothing and 1..100 proposes that
confidence. :func:`~napari_confseg.annotate.tools.merging.merged` joins it to a plane by a rule,
and :func:`~napari_confseg.annotate.tools.merging.edit_from` makes of planes before and after the
one edit that is saved and undone.
"""

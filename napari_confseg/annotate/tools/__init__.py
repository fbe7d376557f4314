"""Painting that saves work: pure functions from arrays to arrays, without Qt and without state.

Most tools return a *proposal*: ``uint8 (Y, X)``, where 0 says nothing and 1..100 proposes that
confidence. :func:`~napari_confseg.annotate.tools.merging.merged` joins it to a plane by a rule,
and :func:`~napari_confseg.annotate.tools.merging.act_of` makes of planes before and after the
one act that is saved and undone.
"""

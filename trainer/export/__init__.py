"""Export of a fitted network for other programs: ONNX, TorchScript, MONAI bundle.

Each module of a format gives ``write(model) -> {path: bytes}``; :mod:`trainer.export.folder` puts
them in place, whole or not at all. ``percent.py`` is copied into every export: it is the whole way
from an array to percents, with numpy and the format's own runtime.
"""

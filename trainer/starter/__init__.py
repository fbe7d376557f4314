"""The starter model: learnt from phantoms alone, shipped with the package."""

"""Models of the Dataset panel: agreement, consensus, datasets and exports."""

"""From opinions to a dataset: agreement, consensus, splits, frozen datasets, exports."""

"""Review panel."""

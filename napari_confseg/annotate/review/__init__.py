"""Review and adjudication of clips that several raters marked, without Qt."""

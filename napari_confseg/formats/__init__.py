"""File formats: a frozen dataset out, labels of other tools in; one module a format."""

"""The Dataset panel: agreement, consensus, frozen datasets and exports, for the annotation lead."""

"""The annotation lead's desk: agreement, consensus, datasets and exports of the open cohort."""

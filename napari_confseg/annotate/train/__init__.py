"""Models of the Train panel: runs of a cohort, and the next one."""

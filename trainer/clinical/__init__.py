"""From planes to the bedside: findings by clip and patient, and what they foretell."""

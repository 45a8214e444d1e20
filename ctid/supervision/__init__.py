"""The life of a supervision session: rights, target, mode changes, take-over, its end."""

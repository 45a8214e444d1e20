"""The life of a supervision session: rights, target, audit, mode changes, take-over, its end."""

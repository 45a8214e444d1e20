"""Raised hands: an agent asks for help, a supervisor takes it, and how long that took is known."""

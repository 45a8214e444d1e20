"""Coaching sheets: what a supervisor notes after a session, and the agent reads."""

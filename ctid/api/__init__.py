"""The API: one table of operations, and the carriers that bring requests to it."""

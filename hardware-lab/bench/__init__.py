"""What the documentation claims, measured side by side: `python -m bench [name ...]`."""

"""Acts on live calls: hang up, transfer, move up, record, protect, dial, and texts to agents."""

"""The ledger of the queues: every moment of every caller once, and the figures that are made of them."""

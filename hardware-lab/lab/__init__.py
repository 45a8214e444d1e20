"""The lab: a real Asterisk, a real broker and phones with real audio, all on loopback."""

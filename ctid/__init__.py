"""ctid: live call-centre state and supervision, next to a PBX."""

__version__ = "0.1.0"

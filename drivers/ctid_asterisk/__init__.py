"""Asterisk over AMI (the truth) and ARI (the supervisor's media)."""

"""Who may come in: tokens, people with passwords, their sessions, and people whom a provider vouches for."""

"""Secrets of 256 random bits, and the hashes that are kept of them."""

import secrets
from hashlib import sha256

_PREFIX = "ctid_"
_BYTES = 32


def new_token() -> tuple[str, str]:
    """Make a token of 256 random bits; returns it and the SHA-256 that is kept.

    It consists of letters, digits, `-` and `_`, so that it fits a header and a subprotocol's name. With
    that much entropy a plain hash is enough: there is nothing to guess.
    """
    token = _PREFIX + new_secret()
    return token, token_hash(token)


def new_secret() -> str:
    """256 random bits, as letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(_BYTES)


def token_hash(token: str) -> str:
    """The SHA-256 of a token, in lower-case hex."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()

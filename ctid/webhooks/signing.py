"""Signatures in the form of Standard Webhooks (standardwebhooks.com, specification 1.0.0). Pure."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence

PREFIX = "whsec_"
SHORTEST_KEY, LONGEST_KEY = 24, 64
"""Bytes of a key, by the specification."""


def key_of(secret: str) -> bytes:
    """Read the key out of a secret: `whsec_`, which may be left out, and 24 to 64 bytes in base64.

    Raises:
        ValueError: it is none. The text does not show it.
    """
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except (NotBase64, ValueError) as error:
        raise ValueError("is no base64") from error
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ValueError(f"holds {len(key)} bytes, and must hold {SHORTEST_KEY} to {LONGEST_KEY}")
    return key


def signed_headers(keys: Sequence[bytes], ident: str, at: float, body: bytes) -> dict[str, str]:
    """The headers that let a receiver see who sent a body, and when; one signature for each key.

    `at` is the time of this attempt, in seconds of UTC; `ident` stays the same from attempt to attempt, and
    has no full stop, which parts what is signed.
    """
    content = b".".join((ident.encode(), str(int(at)).encode(), body))
    signatures = [b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys]
    return {
        "webhook-id": ident,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }

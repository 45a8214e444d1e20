"""The API's JSON."""

from typing import Any

import msgspec

from ctid.model.instant import enc_hook

_encoder = msgspec.json.Encoder(enc_hook=enc_hook)


def encoded(document: Any) -> bytes:
    """The JSON of a document; times as RFC 3339."""
    return _encoder.encode(document)

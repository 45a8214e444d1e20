"""Compressed answers (RFC 9110 sections 8.4.1.3 and 12.5.3)."""

import asyncio
import zlib

LEAST = 1024
"""Bytes from which on an answer is compressed; what fits one packet anyway gains nothing."""
LARGE = 64 * 1024
"""Bytes from which on that is done beside the event loop."""
_LEVEL = 5
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def accepts_gzip(header: str | None) -> bool:
    """Whether gzip may be sent, and is not liked less than no compression at all.

    Quality values count: `gzip;q=0` forbids it, `*` speaks for what is not named. Of no header it is false:
    such a client says nothing, and a plain answer suits everybody.
    """
    qualities: dict[str, float] = {}
    for part in (header or "").lower().split(","):
        coding, _, parameters = part.partition(";")
        if coding.strip():
            qualities[coding.strip()] = _quality(parameters)
    others = qualities.get("*")
    gzip = qualities.get("gzip", qualities.get("x-gzip", others or 0.0))
    return gzip > 0.0 and gzip >= qualities.get("identity", 0.0)


def _quality(parameters: str) -> float:
    """The weight of a coding; one of another form is none, so that nothing is sent that was not asked for."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return 0.0
            return quality if 0.0 <= quality <= 1.0 else 0.0
    return 1.0


async def gzipped(body: bytes) -> bytes:
    """The body as gzip (RFC 1952); the same bytes for the same body."""
    return await asyncio.to_thread(_gzip, body) if len(body) >= LARGE else _gzip(body)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP_WINDOW)
    return packer.compress(body) + packer.flush()

"""When a certificate ends (RFC 5280 section 4.1.2.5), which the standard library does not tell. Pure."""

from datetime import UTC, datetime

from ctid.model.instant import Instant

_SEQUENCE, _EXPLICIT_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


class NotDer(ValueError):
    """These bytes are no certificate."""


def not_after(certificate: bytes) -> Instant:
    """Until when a certificate in DER is valid. Raises NotDer."""
    tag, tbs, _ = _take(_within(certificate, _SEQUENCE))
    if tag != _SEQUENCE:
        raise NotDer("there is no TBSCertificate")
    tag, _, rest = _take(tbs)
    if tag == _EXPLICIT_VERSION:
        _, _, rest = _take(rest)  # the serial number
    _, _, rest = _take(rest)  # the signature's algorithm
    _, _, rest = _take(rest)  # the issuer
    tag, validity, _ = _take(rest)
    if tag != _SEQUENCE:
        raise NotDer("there is no Validity")
    _, _, rest = _take(validity)
    tag, text, _ = _take(rest)
    return _time(tag, text)


def _time(tag: int, text: bytes) -> Instant:
    formats = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}
    if tag not in formats:
        raise NotDer("there is no time")
    try:
        # Two digits from 50 on are of the last century (RFC 5280 section 4.1.2.5.1); Python's from 69 on.
        at = datetime.strptime(text.decode("ascii"), formats[tag]).replace(tzinfo=UTC)
    except ValueError as error:
        raise NotDer("the time is of another form") from error
    return Instant(at.timestamp())


def _within(data: bytes, wanted: int) -> bytes:
    tag, content, _ = _take(data)
    if tag != wanted:
        raise NotDer("this is no SEQUENCE")
    return content


def _take(data: bytes) -> tuple[int, bytes, bytes]:
    """The first element's tag and content, and what follows it (X.690 section 8.1)."""
    if len(data) < 2:
        raise NotDer("it ends too soon")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start])
    if len(data) < start + length:
        raise NotDer("it ends too soon")
    return data[0], data[start : start + length], data[start + length :]

from datetime import UTC, datetime

import pytest

from ctid.api.der import NotDer, not_after

START = b"\x17\x0d200101000000Z"
END = b"\x17\x0d350203040506Z"
LATE = b"\x18\x0f20510203040506Z"


def seq(*parts: bytes, tag: int = 0x30) -> bytes:
    """An element around others."""
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x82]) + size.to_bytes(2)
    return bytes([tag]) + length + content


def certificate(end: bytes, *, version: bool = True, padding: int = 0) -> bytes:
    """The parts of a certificate that stand before its end."""
    serial, algorithm = seq(b"\x07", tag=0x02), seq(b"\x06\x01\x2a")
    issuer = seq(b"\x00" * padding)
    first = (seq(b"\x02\x01\x02", tag=0xA0),) if version else ()
    return seq(seq(*first, serial, algorithm, issuer, seq(START, end), seq()), seq())


@pytest.mark.parametrize(
    ("data", "year"),
    [
        (certificate(END), 2035),
        (certificate(LATE), 2051),
        (certificate(END, version=False), 2035),
        (certificate(END, padding=300), 2035),
    ],
)
def test_not_after(data: bytes, year: int) -> None:
    """The end is read in both its forms, with and without a version, behind short and long parts."""
    assert not_after(data) == datetime(year, 2, 3, 4, 5, 6, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "too soon"),
        (b"\x30", "too soon"),
        (certificate(END)[:40], "too soon"),
        (seq(tag=0x31), "no SEQUENCE"),
        (seq(seq(tag=0x31)), "no TBSCertificate"),
        (seq(seq(b"\x02\x00", seq(), seq(), seq(tag=0x31))), "no Validity"),
        (certificate(b"\x02\x01\x07"), "no time"),
        (certificate(b"\x17\x04late"), "another form"),
        (certificate(b"\x17\x04\xff\xff\xff\xff"), "another form"),
    ],
)
def test_what_is_no_certificate(data: bytes, said: str) -> None:
    """Other bytes are refused, whatever they are."""
    with pytest.raises(NotDer, match=said):
        not_after(data)

import gzip

import pytest

from ctid.api.compress import LARGE, accepts_gzip, gzipped


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=0.5, identity;q=0.5", True),
        ("identity", False),
        ("deflate", False),
        ("gzip;q=much", False),
        ("gzip;q=nan", False),
        ("gzip;q=2", False),
        ("gzip; level=1; q=0.3", True),
        (",, gzip", True),
    ],
)
def test_accepts_gzip(header: str | None, accepted: bool) -> None:  # noqa: FBT001 - a case's value
    """Gzip is sent to whom it is welcome, and to nobody else."""
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize("size", [2000, LARGE + 1])
async def test_gzipped(size: int) -> None:
    """Small and large bodies come out as they went in, and the same bytes each time."""
    body = b"abc" * size
    packed = await gzipped(body)
    assert gzip.decompress(packed) == body
    assert packed == await gzipped(body)

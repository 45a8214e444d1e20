import pytest

from ctid.api.origins import Origins, is_own
from ctid.model.web import origin_of

PAGE = "https://wallboard.example.com"


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        (PAGE, PAGE),
        ("https://wallboard.example.com:443", PAGE),
        ("HTTPS://Wallboard.Example.Com", PAGE),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://a:80", "http://a"),
        ("http://a:443", "http://a:443"),
        ("*", None),
        ("null", None),
        ("", None),
        ("ftp://a", None),
        ("https://", None),
        ("https://a/", None),
        ("https://a?x", None),
        ("https://a#", None),
        ("https://user@a", None),
        ("https://a:", None),
        ("https://a:99999", None),
        ("https://[::1", None),
    ],
)
def test_origin_of(text: str, origin: str | None) -> None:
    """An origin has one form; what is none is told as none."""
    assert origin_of(text) == origin


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "own"),
    [
        ("https://ctid.example.com", "https", "ctid.example.com", True),
        ("https://ctid.example.com", "https", "CTID.example.com:443", True),
        ("http://127.0.0.1:8080", "http", "127.0.0.1:8080", True),
        ("http://ctid.example.com", "https", "ctid.example.com", False),
        ("https://evil.example.com", "https", "ctid.example.com", False),
        ("https://ctid.example.com:8443", "https", "ctid.example.com", False),
        ("null", "https", "ctid.example.com", False),
        ("null", "https", "", False),
    ],
)
def test_is_own(origin: str, scheme: str, host: str, own: bool) -> None:  # noqa: FBT001 - a case's value
    """A page is the server's own by scheme, host and port together; an opaque one never is."""
    assert is_own(origin, scheme, host) is own


def test_headers() -> None:
    """An allowed page may read the answer and the headers that it needs; credentials are never allowed."""
    origins = Origins(frozenset({PAGE}))
    headers = origins.headers(PAGE)
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert "ETag" in headers["Access-Control-Expose-Headers"]
    assert origins.headers("https://other.example.com") == {}
    assert origins.headers(None) == {}
    assert (bool(origins), bool(Origins())) == (True, False)


def test_preflight() -> None:
    """A question before a request is answered to an allowed page, without credentials."""
    origins = Origins(frozenset({PAGE}))
    told = origins.preflight(PAGE, "PATCH")
    assert told is not None
    assert "PATCH" in told["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in told["Access-Control-Allow-Headers"]
    assert not any("Credentials" in name or value == "*" for name, value in told.items())
    assert origins.preflight(PAGE, None) is None
    assert origins.preflight(None, "GET") is None
    assert origins.preflight("https://other.example.com", "GET") is None

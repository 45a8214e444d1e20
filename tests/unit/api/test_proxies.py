import pytest

from ctid.api.proxies import Proxies, is_local
from ctid.model.web import network_of

PROXIES = Proxies([network_of("127.0.0.1"), network_of("10.0.0.0/8"), network_of("2001:db8::/32")])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "proto", "origin"),
    [
        ("127.0.0.1", [], [], ("127.0.0.1", "http")),
        ("127.0.0.1", ["198.51.100.7"], ["https"], ("198.51.100.7", "https")),
        ("127.0.0.1", ["198.51.100.7, 10.1.2.3"], ["https"], ("198.51.100.7", "https")),
        ("127.0.0.1", ["6.6.6.6, 198.51.100.7", "10.1.2.3"], ["http, HTTPS"], ("198.51.100.7", "https")),
        ("127.0.0.1", ["10.1.2.3"], [], ("10.1.2.3", "http")),
        ("127.0.0.1", ["198.51.100.7, unknown"], [], ("127.0.0.1", "http")),
        ("127.0.0.1", ["198.51.100.7"], ["gopher"], ("198.51.100.7", "http")),
        ("2001:db8::1", ["2001:DB9::0:7"], ["https"], ("2001:db9::7", "https")),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.7"], [], ("198.51.100.7", "http")),
        ("198.51.100.7", ["127.0.0.1"], ["https"], ("198.51.100.7", "http")),
        ("", ["127.0.0.1"], ["https"], ("", "http")),
    ],
)
def test_origin(peer: str, forwarded_for: list[str], proto: list[str], origin: tuple[str, str]) -> None:
    """The client is the last address that no trusted proxy has; what a stranger writes counts for nothing."""
    assert PROXIES.origin(peer, "http", forwarded_for, proto) == origin


def test_nobody_is_trusted_by_default() -> None:
    """Without proxies the headers change nothing."""
    assert Proxies().origin("127.0.0.1", "http", ["1.2.3.4"], ["https"]) == ("127.0.0.1", "http")


@pytest.mark.parametrize(
    ("peer", "local"),
    [("127.0.0.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False), ("", False)],
)
def test_is_local(peer: str, local: bool) -> None:  # noqa: FBT001 - a case's value
    """The loopback is this machine, whatever way it is written."""
    assert is_local(peer) is local

"""Whom a request comes from where trusted proxies stand between: `X-Forwarded-For`, `-Proto`. Pure."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from ctid.model.web import Network

SCHEMES = ("http", "https")


class Origin(NamedTuple):
    """The address a request came from, and how the client spoke: http or https."""

    peer: str
    scheme: str


class Proxies:
    """The proxies that are believed. What anybody else writes into those headers is ignored."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)

    def trusts(self, peer: str) -> bool:
        """Whether an address is one of theirs."""
        address = _address(peer)
        return address is not None and any(address in network for network in self._networks)

    def origin(self, peer: str, scheme: str, forwarded_for: Iterable[str], proto: Iterable[str]) -> Origin:
        """Where a request came from: the last address in the chain that is not a trusted proxy's.

        Each proxy adds, at the end, whom it got the request from: what stands before the first stranger's
        address is the stranger's own word. What is no address ends the chain.
        """
        if not self.trusts(peer):
            return Origin(peer, scheme)
        said = ",".join(proto).rpartition(",")[2].strip().lower()
        chain = [part.strip() for part in ",".join(forwarded_for).split(",")]
        for part in reversed(chain):
            address = _address(part)
            if address is None:
                break
            peer = str(address)
            if not self.trusts(peer):
                break
        return Origin(peer, said if said in SCHEMES else scheme)


def is_local(peer: str) -> bool:
    """Whether an address is this machine's loopback."""
    address = _address(peer)
    return address is not None and address.is_loopback


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A listener for both families tells IPv4 peers as ::ffff:192.0.2.1.
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address

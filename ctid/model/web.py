"""What names places of the web: origins of pages, and networks."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network
_PORTS = {"http": 80, "https": 443}


def network_of(text: str) -> Network:
    """An address, or a network as `10.0.0.0/8`. Raises ValueError."""
    return ip_network(text)


def origin_of(text: str) -> str | None:
    """An origin in its one form (RFC 6454 section 6.2), `scheme://host[:port]`; none where it is no such."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        return None
    if parts.path or parts.query or parts.fragment or text.endswith(("#", "?", ":")):
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in (None, _PORTS[parts.scheme]) else f":{port}")

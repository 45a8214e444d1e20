"""Which hosts are this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether an address, or the name `localhost`, can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

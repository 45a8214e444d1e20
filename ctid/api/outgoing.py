"""What waits in a connection for its client to take it."""

import asyncio


def unsent(transport: asyncio.Transport) -> int:
    """Bytes that wait; none once the connection is lost."""
    try:
        return transport.get_write_buffer_size()
    except AttributeError:
        # A TLS transport that was closed twice has let go of what would tell (CPython, asyncio/sslproto.py).
        return 0

"""Frames of AMI as they are taken apart and put together: the lines of one block, in their order."""

from collections.abc import Iterable

Line = tuple[bytes, bytes]
Frame = tuple[Line, ...]
"""The lines of a block, key and value as they stand on the wire."""

END = b"\r\n\r\n"


def frame(*pairs: tuple[str, str]) -> Frame:
    """Make a frame of text."""
    return tuple((key.encode(), value.encode()) for key, value in pairs)


def parse(block: bytes) -> Frame:
    """Take a block apart; a line without a colon is left out."""
    lines = (line.partition(b": ") for line in block.replace(b"\r\n", b"\n").split(b"\n"))
    return tuple((key.rstrip(b":"), value) for key, colon, value in lines if colon or key.endswith(b":"))


def render(lines: Iterable[Line]) -> bytes:
    """The bytes of a frame, with the empty line that ends it."""
    return b"\r\n".join([b"%b: %b" % line for line in lines]) + END


def get(lines: Frame, key: bytes) -> bytes:
    """The first value of a key, as spelled; empty when there is none."""
    return next((value for name, value in lines if name == key), b"")


def without(lines: Frame, *keys: bytes) -> Frame:
    """A frame less some of its lines."""
    return tuple(line for line in lines if line[0] not in keys)

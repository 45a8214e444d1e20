"""Scopes: what of its role's operations a token may do. Pure."""

from collections.abc import Collection, Iterable

READ = "read"
"""Whatever changes nothing, the stream of changes included."""
EVENTS = "events"
"""The stream of changes."""
_ALL = ".*"


def covers(scopes: Iterable[str], name: str, *, changes: bool) -> bool:
    """Whether one of the scopes holds an operation: by its name, as `calls.*` by the room, or as `read`."""
    room = name.partition(".")[0]
    return any(scope in (name, room + _ALL) or (scope == READ and not changes) for scope in scopes)


def unknown(scopes: Iterable[str], operations: Collection[str]) -> str | None:
    """The first scope that holds no operation there is; none: each does."""
    rooms = {name.partition(".")[0] + _ALL for name in operations}
    known = {READ, EVENTS, *operations, *rooms}
    return next((scope for scope in scopes if scope not in known), None)

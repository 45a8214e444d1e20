"""Identifiers. Each is opaque text, safe in an MQTT topic and in a URL path segment."""

import re
from functools import lru_cache
from typing import NewType

PbxId = NewType("PbxId", str)
AgentId = NewType("AgentId", str)
"""The agent's address on the PBX (an extension such as `1001`), or the id the configuration gives."""
QueueId = NewType("QueueId", str)
DeviceId = NewType("DeviceId", str)
LegId = NewType("LegId", str)
"""One party's connection to the PBX: the PBX's own unique id of a channel."""
CallId = NewType("CallId", str)
"""`<pbx>.<first unique id>`: ctid's own, stable over a restart of ctid."""
SupervisionId = NewType("SupervisionId", str)
HelpId = NewType("HelpId", str)
"""A raised hand."""
SheetId = NewType("SheetId", str)
"""A coaching sheet."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.@:=~-]")
_LONGEST = 128
_SAFE = re.compile(r"[A-Za-z0-9_.@:=~-]{1,128}")


def is_safe_id(text: str) -> bool:
    """Whether a text could be an id: whether `safe_id` leaves it as it is."""
    return _SAFE.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def safe_id(text: str) -> str:
    """Make `text` fit for a topic level and a URL segment.

    Characters outside `A-Za-z0-9_.@:=~-` become `_`, the result is at most 128 characters, and
    never empty (MQTT 5.0, 4.7.1: `+`, `#` and `/` have a meaning in topics).
    """
    return _UNSAFE.sub("_", text)[:_LONGEST] or "_"

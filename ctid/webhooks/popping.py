"""The address that a CRM opens when a call comes: a template of the configuration, filled. Pure."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

WORDS = ("number", "name", "dialled", "agent", "queue", "call")
"""What stands in braces in a template; each is a field of the events `call.offered` and `call.answered`."""
CALLERS = frozenset({"number", "name"})
"""Those that a masked event does not tell."""

_PLACE = re.compile(r"\{([^{}]*)\}")


def places_of(template: str) -> tuple[str, ...]:
    """The words in braces of a template."""
    return tuple(_PLACE.findall(template))


def filled(template: str, told: Mapping[str, Any]) -> str:
    """Put what was told in the places of a template, each encoded for a URL; what was not told is empty."""
    return _PLACE.sub(lambda place: quote(str(told.get(place[1]) or ""), safe=""), template)

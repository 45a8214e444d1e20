"""Examples of the document: what a floor answered, kept in a file beside this one (`make examples`)."""

from importlib import resources
from typing import Any, Self

import msgspec
from msgspec import Struct

FILE = "answers.json"


class Examples(Struct, frozen=True, kw_only=True):
    """Requests that are good and their answers, by operation, and problem documents."""

    requests: dict[str, dict[str, Any]]
    """All parameters of each, also those in the path."""
    answers: dict[str, Any]
    problems: dict[str, dict[str, Any]]
    """By status and code, such as `404-agent.unknown`."""

    @classmethod
    def shipped(cls) -> Self:
        """Those of the package."""
        return msgspec.json.decode((resources.files("ctid.api") / FILE).read_bytes(), type=cls)

"""What is published, and where it is kept: `make schemas` writes it, unless something would break.

A form that is to break gets a new version, and its old one stays as long as the policy says. To publish a
break all the same, before a release: remove its file, which a reviewer sees, and run this again.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctid.api import openapi
from ctid.events.schemas import index, published
from published.compare import Way, api_breaks, breaks, index_breaks

CHECKOUT = Path(__file__).parents[2]
SCHEMAS = CHECKOUT / "ctid" / "events" / "published"
"""Shipped with the package, a file for each name and version."""
INDEX = SCHEMAS / "index.json"
API = Path(__file__).with_name("openapi.json")
"""The API as it was last published."""


def file_of(name: str) -> Path:
    """Where a schema is kept; `name` as `ctid.agent/1`."""
    return SCHEMAS / f"{name.replace('/', '.')}.json"


def kept() -> dict[str, Any]:
    """The schemas that are kept, by the name that each bears: its file's."""
    found = {}
    for path in sorted(SCHEMAS.glob("ctid.*.json")):
        name, _, version = path.stem.rpartition(".")
        found[f"{name}/{version}"] = json.loads(path.read_text())
    return found


def text_of(document: Mapping[str, Any]) -> str:
    """A document as it is kept."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def schema_breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What would break for those who rely on the published schemas."""
    found = [f"{name} is gone" for name in sorted(old.keys() - new.keys())]
    for name in sorted(old.keys() & new.keys()):
        found += [f"{name} {text}" for text in breaks(old[name], new[name], Way.TOLD)]
    return found


def current_api() -> dict[str, Any]:
    """The API's document, as JSON has it; without the version of ctid, which is no promise."""
    document: dict[str, Any] = json.loads(json.dumps(openapi.document("")))
    return document


def main() -> int:
    """Write what is published now; 1, and nothing is written, where it would break something."""
    schemas, api = published(), current_api()
    found = schema_breaks(kept(), schemas)
    if INDEX.exists():
        found += index_breaks(json.loads(INDEX.read_text()), index())
    if API.exists():
        found += api_breaks(json.loads(API.read_text()), api)
    if found:
        print("This would break those who rely on what is published (docs/compatibility.md):")  # noqa: T201 - a command of the Makefile
        print("\n".join(f"  {text}" for text in found))  # noqa: T201 - the same
        return 1
    SCHEMAS.mkdir(exist_ok=True)
    for name, schema in schemas.items():
        file_of(name).write_text(text_of(schema))
    INDEX.write_text(text_of(index()))
    API.write_text(text_of(api))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What is published for programs to read: the schemas, their list, and the AsyncAPI document."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from ctid.api import asyncapi
from ctid.api.dispatch import encoded
from ctid.api.pages import Page

_JSON = "application/json"


@cache
def shelf(version: str) -> Mapping[str, Page]:
    """The documents by their path beneath the API's base; a schema's is `schemas/` and its name.

    Made once a process, because neither the table nor what is shipped changes.
    """
    folder = resources.files("ctid.events") / "published"
    found = {"asyncapi.json": encoded(asyncapi.document(version))}
    for file in folder.iterdir():
        name, _, form = file.name.removesuffix(".json").rpartition(".")
        found[f"schemas/{name}/{form}" if name else "schemas"] = file.read_bytes()
    return MappingProxyType({path: Page(body=body, media_type=_JSON) for path, body in sorted(found.items())})

import json
from importlib import resources

import jsonschema

from ctid.events.catalogue import EVENTS
from ctid.events.schemas import TOLD, index, published
from published.compare import api_breaks, index_breaks
from published.files import API, INDEX, current_api, file_of, kept, schema_breaks, text_of

CURE = "run `make schemas`, which refuses what would break; see docs/compatibility.md"


def test_no_published_schema_breaks() -> None:
    """Whoever relies on a schema that was published can go on."""
    assert schema_breaks(kept(), published()) == [], CURE
    assert index_breaks(json.loads(INDEX.read_text()), index()) == [], CURE


def test_the_published_api_does_not_break() -> None:
    """Whoever calls the API as it was published can go on."""
    assert api_breaks(json.loads(API.read_text()), current_api()) == [], CURE


def test_what_is_shipped_is_what_is_told() -> None:
    """The files in the package are those of the structs, none more and none less."""
    wanted = {file_of(name).name: text_of(schema) for name, schema in published().items()}
    wanted[INDEX.name] = text_of(index())
    folder = resources.files("ctid.events") / "published"
    assert {file.name: file.read_text() for file in folder.iterdir()} == wanted, CURE


MAY_LACK = {"ctid.call.offered/1": {"pop_url"}, "ctid.call.answered/1": {"pop_url"}}
"""The fields that a document has only sometimes."""


def test_they_are_schemas() -> None:
    """Each is good by its dialect, names its form, and promises every field that may not lack."""
    for name, schema in published().items():
        jsonschema.Draft202012Validator.check_schema(schema)
        if name != "ctid.event/1":
            assert schema["properties"]["schema"] == {"enum": [name]}
        assert schema["description"]
        lacking = set(schema["properties"]) - set(schema["required"])
        assert lacking == MAY_LACK.get(name, set())
    assert {f"ctid.{event.name}" for event in EVENTS.values()} == set(index()["events"])
    assert len({kind.__name__ for kind in TOLD.values()}) == len(TOLD)

import json
from typing import Any

import jsonschema
import pytest

from ctid.api import asyncapi
from ctid.api.operations import OPERATIONS
from ctid.api.schemas import REF, components
from ctid.api.shelf import shelf
from ctid.describing import schemas
from ctid.events import schemas as told
from ctid.events.catalogue import EVENTS
from ctid.events.schemas import RETAINED, TOLD
from unit.api.test_schemas import references

DOCUMENT: dict[str, Any] = json.loads(json.dumps(asyncapi.document("1.0")))


def test_every_reference_leads_somewhere() -> None:
    """Each is to a part of the document itself."""
    for reference in references(DOCUMENT):
        found = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def test_all_is_in_it() -> None:
    """A channel for each retained topic, each type of events, each operation's command, and the answers."""
    addresses = {
        channel["address"].removeprefix("{base}/{site}/") for channel in DOCUMENT["channels"].values()
    }
    commands = {f"command/{{client}}/{name}" for name in OPERATIONS}
    assert addresses == {*RETAINED, *(f"events/{name}" for name in EVENTS), *commands, "reply/{client}"}
    assert set(DOCUMENT["channels"]["reply"]["messages"]) == {f"reply.{name}" for name in OPERATIONS}
    assert {name for name, told in DOCUMENT["operations"].items() if told["action"] == "receive"} == set(
        OPERATIONS
    )


def test_what_is_retained() -> None:
    """Documents are, events expire, and all of it comes at QoS 1."""
    for name, operation in DOCUMENT["operations"].items():
        binding = operation["bindings"]["mqtt"]
        assert binding["qos"] == 1
        assert binding["retain"] is (
            name.removeprefix("tell.") in {topic.partition("/")[0] for topic in RETAINED}
        )
        is_event = name.removeprefix("tell.") in EVENTS and operation["action"] == "send"
        assert ("messageExpiryInterval" in binding) is is_event


@pytest.mark.parametrize("dialect", [jsonschema.Draft202012Validator, jsonschema.Draft7Validator])
def test_examples_are_good(dialect: type[jsonschema.Draft202012Validator]) -> None:
    """Each message has one, and it is of the message's schema, by the dialect of either document."""
    for message in DOCUMENT["components"]["messages"].values():
        schema = {"$ref": message["payload"]["$ref"], "components": DOCUMENT["components"]}
        (example,) = message["examples"]
        dialect(schema).validate(example["payload"])


def test_no_two_schemas_have_one_name() -> None:
    """What the API answers and what the bus tells share some structs, and no other names."""
    asked = components(
        requests=[operation.params for operation in OPERATIONS.values()],
        results=[operation.result for operation in OPERATIONS.values()],
    )
    bus = told.components(REF + "{name}")
    for name in asked.keys() & bus.keys():
        assert asked[name] == bus[name]
    assert not asked.keys() & {kind.__name__ for kind in TOLD.values()}
    assert schemas((), TOLD.values(), REF + "{name}").keys() >= bus.keys()


def test_the_shelf() -> None:
    """The list, every schema under its own name, and this document."""
    found = shelf("1.0")
    assert set(found) == {"asyncapi.json", "schemas", *(f"schemas/{name}" for name in TOLD)}
    for path, page in found.items():
        assert page.media_type == "application/json"
        body = json.loads(page.body)
        if path.startswith("schemas/ctid.") and path != "schemas/ctid.event/1":
            assert body["properties"]["schema"]["enum"] == [path.removeprefix("schemas/")]

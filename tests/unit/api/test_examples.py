"""The examples of the document, and what the document says beyond the types."""

from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_schema_validator import oas31_format_checker as formats

from ctid.api import openapi
from ctid.api.answers import Examples
from ctid.api.constraints import _JUDGED
from ctid.api.decoding import request_of
from ctid.api.operations import BASE, OPERATIONS, Operation
from ctid.model.errors import InvalidRequest

DOCUMENT = openapi.document("1.0")
EXAMPLES = Examples.shipped()
AGAIN = "`make examples` writes them anew"


def valid(schema: Any, instance: Any) -> None:
    """Assert that it is as a schema of the document says."""
    whole = {"$ref": "#/here", "here": schema, "components": DOCUMENT["components"]}
    faults = [
        f"{fault.json_path}: {fault.message}"
        for fault in OAS31Validator(whole, format_checker=formats).iter_errors(instance)
    ]
    assert not faults, f"{faults}; {AGAIN}"


def described(operation: Operation) -> dict[str, Any]:
    """An operation in the document."""
    found: dict[str, Any] = DOCUMENT["paths"][BASE + operation.path][operation.method.lower()]
    return found


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_each_operation_shows_a_request_and_its_answer(operation: Operation) -> None:
    """Both are as the document says, and the request is a good one."""
    told = described(operation)
    params = EXAMPLES.requests[operation.name]
    assert isinstance(request_of(operation.params, params), operation.params)
    answer = told["responses"][str(operation.status)]["content"]["application/json"]
    valid(answer["schema"], answer["example"])
    if operation.has_body:
        body = told["requestBody"]["content"]["application/json"]
        valid(body["schema"], body["example"])
    for parameter in told["parameters"]:
        if parameter["in"] == "path":
            valid(parameter["schema"], parameter["example"])


def test_each_refusal_is_shown() -> None:
    """Every code of every status has an example: a problem document with that code and status."""
    shown = DOCUMENT["components"]["examples"]
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                for code in response.get("x-codes", ()):
                    problem = shown[f"{status}-{code}"]["value"]
                    assert (problem["code"], problem["status"]) == (code, int(status))
                    valid({"$ref": "#/components/schemas/Problem"}, problem)
                    media = response["content"]["application/problem+json"]
                    assert media["examples"][code] == {"$ref": f"#/components/examples/{status}-{code}"}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_what_is_judged_is_there(operation: Operation) -> None:
    """What no schema can say is told of fields that the operation has, cursors always among them."""
    told = described(operation)
    judged = told.get("x-judged", {})
    fields = set(operation.params.__struct_fields__)
    headers = {parameter["name"] for parameter in told["parameters"] if parameter["in"] == "header"}
    assert {path.partition(".")[0] for path in judged} <= fields | headers
    assert ("cursor" in judged) is ("cursor" in fields)


def test_what_is_judged_is_of_operations() -> None:
    """Nothing is told of an operation that there is not."""
    assert set(_JUDGED) <= {*OPERATIONS, "events"}


@pytest.mark.parametrize(
    ("name", "params", "field"),
    [
        ("agents.get", {"id": "a b"}, "id"),
        ("agents.get", {"id": "a" * 129}, "id"),
        ("agents.list", {"team": "a\u2028b"}, "team"),
        ("agents.list", {"team": "a\u202eb"}, "team"),
        ("agents.login", {"id": "1001", "queues": ["a/b"]}, "queues[0]"),
        ("figures.get", {"since": ""}, "since"),
    ],
)
def test_the_decoder_and_the_document_agree(name: str, params: dict[str, Any], field: str) -> None:
    """What the decoder refuses of a text is no text of the document's schema either."""
    operation = OPERATIONS[name]
    with pytest.raises(InvalidRequest) as refused:
        request_of(operation.params, params)
    assert refused.value.field == field
    told = described(operation)
    top = field.partition("[")[0]
    schemas = {parameter["name"]: parameter["schema"] for parameter in told["parameters"]}
    if "requestBody" in told:
        schemas |= told["requestBody"]["content"]["application/json"]["schema"]["properties"]
    with pytest.raises(AssertionError):
        valid(schemas[top], params[top])


def test_each_operation_says_how_the_other_carriers_ask_for_it() -> None:
    """By the topic of its command, and by the command line."""
    told = described(OPERATIONS["agents.pause"])
    assert told["x-mqtt-topic"] == "{base}/{site}/command/{client}/agents.pause"
    assert told["x-cli"].startswith("ctid api agents.pause id=")
    assert all({"x-mqtt-topic", "x-cli"} <= described(operation).keys() for operation in OPERATIONS.values())


def test_every_tag_is_explained() -> None:
    """Each operation has a tag that the document describes, and no tag is idle."""
    used = {tag for path in DOCUMENT["paths"].values() for told in path.values() for tag in told["tags"]}
    assert used == {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(tag["description"] for tag in DOCUMENT["tags"])

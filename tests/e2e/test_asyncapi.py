import json

import jsonschema
import pytest

from ctid.api import asyncapi
from lab.specs import asyncapi_schema

pytestmark = pytest.mark.lab


def test_the_document_is_asyncapi() -> None:
    """By the schema that the AsyncAPI project publishes of its documents, bindings included."""
    document = json.loads(json.dumps(asyncapi.document("1.0")))
    jsonschema.Draft7Validator(asyncapi_schema(asyncapi.VERSION)).validate(document)


def test_what_is_no_asyncapi_is_found() -> None:
    """The schema is one that refuses: a channel without an address of its type, an action that is none."""
    document = json.loads(json.dumps(asyncapi.document("1.0")))
    validator = jsonschema.Draft7Validator(asyncapi_schema(asyncapi.VERSION))
    document["channels"]["status"]["address"] = 7
    assert not validator.is_valid(document)
    document["channels"]["status"]["address"] = "a"
    document["operations"]["tell.status"]["action"] = "shout"
    assert not validator.is_valid(document)

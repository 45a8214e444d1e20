import re
from importlib import resources
from typing import Any

from ctid.api import openapi
from ctid.api.decoding import request_of
from ctid.api.operations import OPERATIONS
from ctid.api.pages import pages
from ctid.describing import attribute_docs
from ctid.model.entities import Agent, Call
from ctid.model.words import Mode

DOCUMENT = openapi.document("1.0")


def references(value: Any) -> set[str]:
    """Every reference within a document."""
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*[references(inner) for inner in value.values()])
    if isinstance(value, list | tuple):
        return set().union(*[references(inner) for inner in value])
    return set()


def test_references_and_components_meet() -> None:
    """Each reference has its component, and each component is referred to."""
    referred = {reference.removeprefix("#/components/") for reference in references(DOCUMENT)}
    sections = ("schemas", "examples")
    assert referred == {
        f"{section}/{name}" for section in sections for name in DOCUMENT["components"][section]
    }


def test_what_is_always_there_is_required() -> None:
    """Answers promise every field; only who listens to a call depends on the role."""
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas["Agent"]["required"]) == set(Agent.__struct_fields__)
    assert set(Call.__struct_fields__) - set(schemas["Call"]["required"]) == {"supervisions"}
    assert set(schemas["StartRequest"]["required"]) == {"via", "purpose"}


def test_docstrings_come_out() -> None:
    """What the model says of a field or a member is in the document."""
    assert attribute_docs(Mode)["WHISPER"] == "The agent alone."
    schemas = DOCUMENT["components"]["schemas"]
    assert "`whisper`: The agent alone." in schemas["Mode"]["description"]
    assert schemas["Pbx"]["properties"]["reason"]["description"].startswith("Why the link is down")


def test_the_path_holds_what_the_body_does_not() -> None:
    """A parameter in the path is not asked for in the body as well."""
    patch = DOCUMENT["paths"]["/api/v1/supervisions/{id}"]["patch"]
    body = patch["requestBody"]["content"]["application/json"]["schema"]
    assert list(body["properties"]) == ["mode", "hear", "muted", "lead"]
    assert body.get("required", []) == []
    named = [parameter["name"] for parameter in patch["parameters"]]
    assert named == ["id", "Idempotency-Key", "Ctid-Boot-Id", "If-Match"]


def test_examples_are_good() -> None:
    """Each body has an example, and it is a good request."""
    for operation in OPERATIONS.values():
        if operation.has_body:
            assert operation.example is not None
            params = dict.fromkeys(operation.path_params, "x") | dict(operation.example)
            assert isinstance(request_of(operation.params, params), operation.params)


def test_every_operation_tells_its_refusals() -> None:
    """Each operation promises the codes of its kind, and says who may."""
    for operation in OPERATIONS.values():
        described = DOCUMENT["paths"]["/api/v1" + operation.path][operation.method.lower()]
        codes = {code for response in described["responses"].values() for code in response.get("x-codes", ())}
        assert {"request.invalid", "auth.required", "auth.forbidden", "internal"} <= codes
        assert ("request.too_large" in codes) is operation.has_body
        assert described["x-roles"] == sorted(operation.roles)


def test_the_page_needs_nobody_else() -> None:
    """The page names no other host, holds no inline script or style, and each file it asks for is shipped."""
    shipped = pages()
    for page in shipped.values():
        text = page.body.decode()
        assert not re.search(r"""(https?:|wss?:)?//[a-z0-9]|@import|url\(""", text.replace("// ", ""))
    html = shipped["docs"].body.decode()
    asked = set(re.findall(r'(?:src|href)="([^"]+)"', html)) - {"data:,", "openapi.json"}
    assert asked == set(shipped) - {"docs"}
    assert "<script>" not in html
    assert "<style" not in html
    assert "innerHTML" not in shipped["docs/docs.js"].body.decode()


def test_all_static_files_are_served() -> None:
    """Nothing lies in the folder of the page that is not a part of it."""
    names = {file.name for file in (resources.files("ctid.api") / "static").iterdir()}
    assert names == {"docs.html", "docs.js", "docs.css"}

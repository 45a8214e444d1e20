"""The one table: what it says of each operation fits together, whatever carries it."""

import re

import msgspec
import pytest

from ctid.api.errors import OperationUnknown
from ctid.api.operations import OPERATIONS, Idempotency, Operation, operation_named
from ctid.events.topics import level

ALL = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))


@ALL
def test_idempotency_is_what_the_method_promises(operation: Operation) -> None:
    """GET is safe and nothing else is (RFC 9110 section 9.2.1); DELETE is idempotent (9.2.2)."""
    assert (operation.idempotency is Idempotency.SAFE) is (operation.method == "GET")
    assert operation.is_command is (operation.method != "GET")
    if operation.method == "DELETE":
        assert operation.idempotency is Idempotency.IDEMPOTENT


@ALL
def test_its_names_can_be_carried(operation: Operation) -> None:
    """A topic's level, a word of a shell, an identifier of a program: `room.verb`."""
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", operation.name)
    assert level(operation.name) == operation.name
    assert operation.topic == f"command/{{client}}/{operation.name}"
    assert operation.command_line.startswith(f"ctid api {operation.name}")


@ALL
def test_its_command_line_names_what_it_needs(operation: Operation) -> None:
    """And no more than that; what else there is stands for itself."""
    needed = re.findall(r"(\w+)=…", operation.command_line)
    fields = msgspec.structs.fields(operation.params)
    assert needed == [field.encode_name for field in fields if field.required]
    assert operation.command_line.endswith("[…]") is (len(needed) < len(fields))
    assert {*operation.path_params} <= {*needed}


@ALL
def test_its_example_is_good(operation: Operation) -> None:
    """With a text for each parameter of the path."""
    path = dict.fromkeys(operation.path_params, "x")
    if operation.has_body:
        assert operation.example is not None
        msgspec.convert(path | dict(operation.example), operation.params)


def test_none_shares_a_name_or_a_path() -> None:
    """Neither the names nor the pairs of method and path."""
    assert len({(operation.method, operation.path) for operation in OPERATIONS.values()}) == len(OPERATIONS)


def test_an_unknown_one() -> None:
    """The refusal names those there are."""
    assert operation_named("agents.get").name == "agents.get"
    with pytest.raises(OperationUnknown, match=r"there are: .*agents\.get"):
        operation_named("agents.dance")

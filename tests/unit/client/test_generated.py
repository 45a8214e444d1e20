import pytest

from ctid.api.operations import OPERATIONS
from ctid.client import Client
from generate import client


def test_the_files_are_those_of_the_table() -> None:
    """What `make client` would write is what is there."""
    for path, text in client.files().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run `make client`"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_a_method(name: str) -> None:
    """The client has each operation of the table under its own name, and says what may be refused."""
    group, _, method = name.partition(".")
    found = getattr(getattr(Client(), group), method)
    for code, _ in OPERATIONS[name].refusals:
        assert f"`{code}`" in found.__doc__

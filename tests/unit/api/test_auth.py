import pytest

from ctid.api.auth import bearer_of_header, bearer_of_subprotocols, chosen_subprotocol


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer x", "x"),
        ("bearer  x ", "x"),
        ("BEARER x", "x"),
        ("Bearer", None),
        ("Bearer  ", None),
        ("Basic x", None),
        ("", None),
        (None, None),
    ],
)
def test_bearer_header(header: str | None, token: str | None) -> None:
    """The token is what follows the scheme, whose case is no matter."""
    assert bearer_of_header(header) == token


def test_bearer_subprotocol() -> None:
    """A token among the subprotocols is found; an empty one is none."""
    assert bearer_of_subprotocols(["ctid.v1", "ctid.bearer.x.y"]) == "x.y"
    assert bearer_of_subprotocols(["ctid.v1", "ctid.bearer."]) is None
    assert bearer_of_subprotocols([]) is None


def test_chosen_subprotocol() -> None:
    """The plain one is chosen where it is offered, the bearer's else, and none that is foreign."""
    assert chosen_subprotocol(["ctid.bearer.x", "ctid.v1"]) == "ctid.v1"
    assert chosen_subprotocol(["foreign", "ctid.bearer.x"]) == "ctid.bearer.x"
    assert chosen_subprotocol(["foreign"]) is None

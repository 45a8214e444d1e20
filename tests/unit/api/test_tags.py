import json

import pytest

from ctid.api.conditional import expected_of, tag_of
from ctid.api.dispatch import encoded
from ctid.api.errors import PreconditionFailed
from ctid.api.operations import OPERATIONS
from ctid.api.tags import Expected, Tag, known, tags_of
from ctid.model.entities import Queue
from ctid.model.errors import InvalidRequest
from ctid.model.ids import PbxId, QueueId
from ctid.model.instant import Instant

QUEUE = Queue(id=QueueId("support"), pbx=PbxId("lab"), name="Support", since=Instant(1.0))
PATCH = OPERATIONS["supervisions.update"]


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        ([], None),
        ([""], None),
        (["*"], "*"),
        ([' "a" '], (Tag("a"),)),
        (['W/"a", "b,c" ,""'], (Tag("a", weak=True), Tag("b,c"), Tag(""))),
        (['"a"', 'W/"b"'], (Tag("a"), Tag("b", weak=True))),
        (["a"], None),
        (['w/"a"'], None),
        (['"a" "b"'], None),
        (['"a'], None),
        (['"a", *'], None),
    ],
)
def test_tags_of(values: list[str], tags: object) -> None:
    """A header's tags, over as many lines as it has; of another form it says nothing."""
    assert tags_of(values) == tags


def test_a_tag_as_it_is_written() -> None:
    """A tag stands in quotes, a weak one after W/; compressed it is another."""
    assert (str(Tag("a")), str(Tag("a", weak=True)), str(Tag("a").zipped())) == ('"a"', 'W/"a"', '"a-gzip"')


@pytest.mark.parametrize(
    ("header", "held"),
    [
        ([], None),
        (["nonsense"], None),
        (['"b"'], None),
        (["*"], '"a"'),
        (['"b", "a"'], '"a"'),
        (['W/"a"'], '"a"'),
        (['"a-gzip"'], '"a-gzip"'),
    ],
)
def test_known(header: list[str], held: str | None) -> None:
    """A document is known by its tag, weak or not, compressed or not; `*` knows any."""
    found = known(Tag("a"), header)
    assert (str(found) if found is not None else None) == held


def test_tags_of_answers() -> None:
    """An entity's tag is strong; a page's is weak, and its `seq` does not matter; a command has none."""
    agent, pages = OPERATIONS["agents.get"], OPERATIONS["agents.list"]
    one, other = tag_of(agent, b'{"id":"1"}'), tag_of(agent, b'{"id":"2"}')
    assert one is not None
    assert (one == other, one.weak) == (False, False)

    def page(items: list[str], following: str | None, seq: int) -> Tag | None:
        return tag_of(pages, json.dumps({"items": items, "next": following, "seq": seq}).encode())

    assert page(["a"], None, 1) == page(["a"], None, 2)
    assert len({page(["a"], None, 1), page(["a"], "x", 1), page(["b"], None, 1)}) == 3
    assert tag_of(OPERATIONS["agents.pause"], b"{}") is None
    assert tag_of(OPERATIONS["supervisions.delete"], b"{}") is None
    assert tag_of(PATCH, b"{}") == tag_of(OPERATIONS["supervisions.get"], b"{}")


def test_expected() -> None:
    """What is as the client knew it passes, and anything does for `*`; a weak tag never does."""
    tag = tag_of(OPERATIONS["queues.get"], encoded(QUEUE))
    assert tag is not None
    for header in ([str(tag)], ['"x"', str(tag)], [str(tag.zipped())], ["*"]):
        expected = expected_of(PATCH, header)
        assert expected is not None
        expected.check(QUEUE)
    for header in (['"x"'], [f"W/{tag}"]):
        expected = expected_of(PATCH, header)
        assert expected is not None
        with pytest.raises(PreconditionFailed, match="the queue 'support' is not as you knew it"):
            expected.check(QUEUE)
    assert expected_of(PATCH, []) is None
    Expected(None).check(QUEUE)


@pytest.mark.parametrize(
    ("operation", "header", "said"),
    [
        ("supervisions.update", "x", "must be \\* or entity tags"),
        ("supervisions.delete", '"x"', "supervisions.delete takes no If-Match"),
        ("agents.pause", "*", "agents.pause takes no If-Match"),
    ],
)
def test_what_cannot_be_expected(operation: str, header: str, said: str) -> None:
    """A condition that cannot be looked at is refused, not ignored."""
    with pytest.raises(InvalidRequest, match=said):
        expected_of(OPERATIONS[operation], [header])

import json
from typing import Any

import pytest

from ctid.client.errors import Unreadable
from ctid.client.following import Change, Following, Reason, Reset
from ctid.client.mirror import Mirror
from ctid.client.structs import Agent, AgentState, Occurrence
from ctid.model.instant import Instant

AT = "2026-03-01T08:00:00.250Z"
AGENT = {"id": "1001", "pbx": "lab", "name": "Zoe", "state": "ready", "since": AT}


def snapshot(seq: int = 7, boot_id: str = "b", **entities: Any) -> str:
    """A snapshot's message."""
    return json.dumps({"type": "snapshot", "seq": seq, "boot_id": boot_id, "at": AT, "entities": entities})


def change(seq: int, entity: Any, kind: str = "agent") -> str:
    """A change's message."""
    document = {"type": "change", "seq": seq, "at": AT, "kind": kind, "id": "1001", "entity": entity}
    return json.dumps(document)


def test_a_snapshot_and_what_follows() -> None:
    """The snapshot is a reset, a change tells an entity or that it is gone, a silence tells nothing."""
    following = Following()
    assert following.query() == {}
    reset = following.take(snapshot(agents=[AGENT]))
    assert isinstance(reset, Reset)
    assert (reset.reason, reset.seq, reset.boot_id) == (Reason.BEGINNING, 7, "b")
    assert [agent.id for agent in reset.entities] == ["1001"]
    came = following.take(change(9, {**AGENT, "state": "busy"}))
    assert isinstance(came, Change)
    assert isinstance(came.entity, Agent)
    assert came.entity.state is AgentState.BUSY
    assert following.take(json.dumps({"type": "heartbeat", "seq": 12, "at": AT})) is None
    assert following.query() == {"after": 12, "boot_id": "b"}
    gone = following.take(change(13, None))
    assert isinstance(gone, Change)
    assert gone.entity is None


def test_an_occurrence() -> None:
    """What no entity tells has the fields that ctid tells of it."""
    following = Following()
    following.take(snapshot())
    names = ("pbx", "by", "to", "text")
    told = {"type": "occurrence", "seq": 8, "at": AT, "name": "caller_left", "figures": {"wait_s": 2}}
    told |= dict.fromkeys(("call", "leg", "queue", "agent", "supervision")) | dict.fromkeys(names, "x")
    item = following.take(json.dumps(told))
    assert isinstance(item, Occurrence)
    assert (item.name, item.figures, item.call) == ("caller_left", {"wait_s": 2.0}, None)


@pytest.mark.parametrize(("boot_id", "reason"), [("b", Reason.MISSED), ("c", Reason.RESTARTED)])
def test_a_second_snapshot_says_why(boot_id: str, reason: Reason) -> None:
    """Whether ctid began anew or too much was missed is told."""
    following = Following()
    following.take(snapshot())
    again = following.take(snapshot(2, boot_id))
    assert isinstance(again, Reset)
    assert again.reason is reason
    assert following.query() == {"after": 2, "boot_id": boot_id}


def test_going_on_where_it_was() -> None:
    """That nothing was missed is no item; the number stays where it was."""
    following = Following()
    following.take(snapshot())
    assert following.take(json.dumps({"type": "resumed", "after": 7, "boot_id": "b", "at": AT})) is None
    assert following.query() == {"after": 7, "boot_id": "b"}


def test_what_a_newer_ctid_tells() -> None:
    """Kinds of entities and messages that this version does not know are passed over, and counted in."""
    following = Following()
    reset = following.take(snapshot(agents=[AGENT], robots=[{"id": "r2"}]))
    assert isinstance(reset, Reset)
    assert len(reset.entities) == 1
    assert following.take(change(8, {"id": "r2"}, kind="robot")) is None
    assert following.take(json.dumps({"type": "song", "seq": 9, "at": AT})) is None
    assert following.query()["after"] == 9


@pytest.mark.parametrize("text", ["", "[]", change(8, {"id": "1001"}), '{"type": "change"'])
def test_what_cannot_be_read(text: str) -> None:
    """A message in another form is told with the cure."""
    with pytest.raises(Unreadable, match="install the client of its version"):
        Following().take(text)


def test_a_mirror_forgets_what_a_reset_does_not_tell() -> None:
    """A reset replaces all; a change puts or removes one; an occurrence moves the number alone."""
    following, mirror = Following(), Mirror()
    messages = [snapshot(agents=[AGENT]), change(8, {**AGENT, "name": "Yan"})]
    for text in messages:
        item = following.take(text)
        assert item is not None
        mirror.apply(item)
    assert (mirror.agents["1001"].name, mirror.seq, mirror.boot_id) == ("Yan", 8, "b")
    for text in (snapshot(1, "c"), change(2, AGENT), change(3, None), change(4, None)):
        item = following.take(text)
        assert item is not None
        mirror.apply(item)
    assert (mirror.agents, mirror.seq, mirror.boot_id) == ({}, 4, "c")
    mirror.apply(
        Occurrence(
            seq=5,
            at=Instant(0),
            name="x",
            pbx="lab",
            call=None,
            leg=None,
            queue=None,
            agent=None,
            supervision=None,
            by="",
            to="",
            text="",
            figures={},
        )
    )
    assert mirror.seq == 5

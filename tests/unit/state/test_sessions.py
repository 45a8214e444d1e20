"""Supervision sessions in the state: in a call, in none, and through calls that become one."""

from ctid.model.entities import Supervision
from ctid.model.facts import KeyPressed
from ctid.model.ids import SupervisionId
from ctid.model.words import NoticeKind, SnapshotReason, SupervisionEnd, SupervisionState
from ctid.state.changes import Change, Occurrence
from helpers.floor import Floor


def _talking(floor: Floor, key: str) -> None:
    floor.put_leg(f"a{key}", call=key, incoming=True)
    floor.put_leg(f"b{key}", call=key, incoming=False)


def test_one_that_waits_is_in_no_call(floor: Floor) -> None:
    """And in the next call it is named by that."""
    floor.link_up()
    _talking(floor, "c1")
    floor.supervisor("s1", "c1")
    assert floor.call("c1").supervisions == ("s1",)
    floor.supervisor("s1", call=None, state=SupervisionState.WAITING)
    assert floor.call("c1").supervisions == ()
    _talking(floor, "c2")
    floor.supervisor("s1", call=floor.call_id("c2"), state=SupervisionState.ACTIVE)
    assert floor.call("c2").supervisions == ("s1",)
    assert floor.store.supervisions[SupervisionId("s1")].call == "lab.c2"


def test_calls_that_become_one_and_another(floor: Floor) -> None:
    """What the driver still calls by the old name is the call that it has become; a name may come back."""
    floor.link_up()
    _talking(floor, "c1")
    floor.supervisor("s1", "c1")
    for old, new in (("c1", "c2"), ("c2", "c1")):
        for leg in list(floor.legs):
            floor.put_leg(leg, call=new)
        floor.supervisor("s1")
        assert floor.store.supervisions[SupervisionId("s1")].call == f"lab.{new}", old
        assert floor.call(new).supervisions == ("s1",)


def test_an_armed_one_is_not_the_pbxs_to_know(floor: Floor) -> None:
    """A snapshot without it leaves it as good as before; one that rings and is not there is lost."""
    floor.link_up()
    floor.supervisor("s1", call=None, state=SupervisionState.REQUESTED)
    floor.snapshot(supervisions=(), reason=SnapshotReason.TIMER)
    assert floor.store.supervisions[SupervisionId("s1")].state is SupervisionState.REQUESTED
    floor.link_down()
    assert floor.store.supervisions[SupervisionId("s1")].stale
    floor.link_up()
    floor.snapshot(supervisions=())
    assert not floor.store.supervisions[SupervisionId("s1")].stale
    floor.supervisor("s1", state=SupervisionState.RINGING)
    updates = floor.snapshot(supervisions=(), reason=SnapshotReason.TIMER)
    changes = [update for update in updates if isinstance(update, Change)]
    ends = [change.new.end for change in changes if isinstance(change.new, Supervision)]
    assert ends == [SupervisionEnd.LOST]


def test_she_who_is_to_know_is_told_while_she_is_heard(floor: Floor) -> None:
    """Not while the supervisor waits, nor where no notice is to be given."""
    floor.link_up()
    floor.agent_joins("1001", "support")
    _talking(floor, "c1")
    floor.supervisor("s1", "c1", notice=NoticeKind.MQTT)
    assert floor.agent("1001").monitored
    floor.supervisor("s1", state=SupervisionState.WAITING)
    assert not floor.agent("1001").monitored
    floor.supervisor("s1", state=SupervisionState.ACTIVE, notice=NoticeKind.NONE)
    assert not floor.agent("1001").monitored
    floor.supervisor("s1", notice=NoticeKind.TONE)
    assert floor.agent("1001").monitored
    floor.supervisor_leaves("s1")
    assert not floor.agent("1001").monitored


def test_a_key_is_told_with_the_session_and_its_call(floor: Floor) -> None:
    """And changes nothing; a key in a session that is over by now is not told."""
    floor.link_up()
    _talking(floor, "c1")
    floor.supervisor("s1", "c1")
    before = floor.store.supervisions[SupervisionId("s1")]
    key = KeyPressed(pbx=floor.pbx, at=floor.now, supervision=SupervisionId("s1"), key="5")
    (told,) = floor.tell(key)
    assert isinstance(told, Occurrence)
    assert (told.name, told.supervision, told.call, told.by) == ("supervision_key", "s1", "lab.c1", "5")
    assert (told.agent, told.queue, told.leg) == ("1001", None, None)
    assert floor.store.supervisions == {before.id: before}
    floor.supervisor_leaves("s1")
    assert floor.tell(key) == []

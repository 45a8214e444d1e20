from msgspec.structs import replace

from ctid.model.entities import Agent, Call, Device, Entity, Help, Pbx, Queue
from ctid.model.facts import AgentMessaged, CallerAbandoned, CallServed, OfferMissed
from ctid.model.ids import AgentId, DeviceId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.words import (
    AgentState,
    CallState,
    DeviceState,
    LinkState,
    Mode,
    SupervisionEnd,
    SupervisionState,
)
from ctid.state.changes import Change, Occurrence, Update, alike
from ctid.state.store import Store
from helpers.floor import BASE, Floor, ended


def _busy(floor: Floor) -> None:
    """One agent talks, one is ready, one customer waits, phones are known, a supervisor listens."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1002", "support")
    floor.phone("1001", DeviceState.IN_USE)
    floor.phone("2001", DeviceState.IN_USE)
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.customer_joins("c2", "support")
    floor.supervisor("s1", "c1")


def _replayed(updates: list[Update]) -> dict[tuple[str, str], Entity]:
    mirror: dict[tuple[str, str], Entity] = {}
    for update in updates:
        if isinstance(update, Change):
            key = (update.kind, update.entity.id)
            assert mirror.get(key) == update.old
            if update.new is None:
                del mirror[key]
            else:
                mirror[key] = update.new
    return mirror


def _stale(store: Store) -> set[str]:
    return {entity.id for entity in store.entities() if not isinstance(entity, Pbx | Help) and entity.stale}


# Updates ----------------------------------------------------------------------------------------------


def test_updates_are_numbered_without_holes(floor: Floor) -> None:
    """Over a whole call every number from the first on is told once, in order."""
    floor.told.clear()
    first = floor.store.seq
    _busy(floor)
    floor.call_over("1001", "support", "c1", "a1")
    floor.wait(20)
    assert [update.seq for update in floor.told] == list(range(first + 1, floor.store.seq + 1))


def test_the_updates_replayed_are_the_store(store: Store) -> None:
    """Whoever follows the updates from the start has exactly what the store has."""
    floor = Floor(store)
    floor.link_up()
    _busy(floor)
    floor.supervisor_leaves("s1")
    floor.call_over("1001", "support", "c1", "a1")
    assert _replayed(floor.told) == {(entity.kind, entity.id): entity for entity in store.entities()}


def test_entities_are_told_links_first(floor: Floor) -> None:
    """A snapshot for a reader starts with the links, and leaves nothing out."""
    _busy(floor)
    kinds = [entity.kind for entity in floor.store.entities()]
    assert list(dict.fromkeys(kinds)) == ["pbx", "queue", "agent", "device", "call", "supervision"]
    assert len(kinds) == 1 + 1 + 2 + 2 + 2 + 1


def test_two_pbxs_share_a_store_and_do_not_mix(store: Store) -> None:
    """The same keys of calls on two PBXs are two calls, and one's lost link leaves the other alone."""
    one, two = Floor(store, "one"), Floor(store, "two")
    one.link_up()
    two.link_up()
    one.agent_joins("1001", "support")
    two.agent_joins("5001", "orders")
    one.agent_serves("1001", "support", "c1", "a1")
    two.agent_serves("5001", "orders", "c1", "a1")
    assert set(store.calls) == {"one.c1", "two.c1"}
    one.link_down()
    assert _stale(store) == {"one.c1", "1001", "support"}
    two.call_over("5001", "orders", "c1", "a1")
    assert set(store.calls) == {"one.c1"}


# Moments ----------------------------------------------------------------------------------------------


def test_a_moment_is_told_onwards_with_its_figures(floor: Floor) -> None:
    """Abandoned, missed and served calls are occurrences that name call, queue, agent and numbers."""
    floor.customer_joins("c1", "support")
    pbx, queue, leg, agent = PbxId("lab"), QueueId("support"), LegId("c1"), AgentId("1001")
    facts = (
        CallerAbandoned(pbx=pbx, at=BASE, queue=queue, leg=leg, position=2, wait_s=31.0),
        OfferMissed(pbx=pbx, at=BASE, queue=queue, agent=agent, leg=leg, ring_s=15.0),
        CallServed(pbx=pbx, at=BASE, queue=queue, agent=agent, leg=leg, hold_s=3.0, talk_s=60.0, by="caller"),
    )
    told = [update for update in floor.tell(*facts) if isinstance(update, Occurrence)]
    assert [(t.name, t.agent, t.by, t.figures) for t in told] == [
        ("caller_abandoned", None, "", {"position": 2, "wait_s": 31.0}),
        ("offer_missed", "1001", "", {"ring_s": 15.0}),
        ("call_served", "1001", "caller", {"hold_s": 3.0, "talk_s": 60.0}),
    ]
    assert {(t.pbx, t.call, t.queue, t.at) for t in told} == {("lab", "lab.c1", "support", BASE)}


def test_a_moment_of_a_leg_that_is_gone_names_it(floor: Floor) -> None:
    """The call was the leg's own when nothing else is known any more."""
    (told,) = floor.tell(
        CallerAbandoned(
            pbx=floor.pbx, at=BASE, queue=QueueId("support"), leg=LegId("x"), position=1, wait_s=1.0
        )
    )
    assert isinstance(told, Occurrence)
    assert told.call == "lab.x"


def test_a_moment_names_the_call_that_the_leg_is_in_now(floor: Floor) -> None:
    """After a merge the leg's call is the one it moved to."""
    floor.customer_joins("c1", "support")
    floor.put_leg("c1", call="k2")
    (told,) = floor.tell(
        OfferMissed(
            pbx=floor.pbx,
            at=BASE,
            queue=QueueId("support"),
            agent=AgentId("1001"),
            leg=LegId("c1"),
            ring_s=5.0,
        )
    )
    assert isinstance(told, Occurrence)
    assert told.call == "lab.k2"


# Devices ----------------------------------------------------------------------------------------------


def test_a_phone_has_its_state_since_it_changed_and_its_agent(floor: Floor) -> None:
    """The agent is known as soon as the member is, in either order."""
    floor.phone("1001", DeviceState.IDLE)
    assert floor.device("1001").agent is None
    floor.wait(2)
    floor.agent_joins("1001", "support")
    assert (floor.device("1001").agent, floor.device("1001").since) == ("1001", BASE)
    floor.phone("1001", DeviceState.RINGING)
    assert (floor.device("1001").state, floor.device("1001").since) == (DeviceState.RINGING, BASE + 2)
    assert floor.phone("1001", DeviceState.RINGING) == []


def test_a_phone_that_the_snapshot_does_not_list_goes(floor: Floor) -> None:
    """What is not in a snapshot is no more."""
    floor.phone("1001", DeviceState.IDLE)
    (gone,) = ended(floor.snapshot(devices=()), "device")
    assert gone.id == "1001"
    assert floor.store.devices == {}


# The link ---------------------------------------------------------------------------------------------


def test_a_lost_link_makes_stale_and_keeps_the_values(floor: Floor) -> None:
    """Every entity of the PBX says that it is stale, and nothing else of it changes."""
    _busy(floor)
    before = {entity.id: entity for entity in floor.store.entities()}
    floor.wait(1)
    updates = floor.link_down("connection lost")
    assert _stale(floor.store) == set(before) - {"lab"}
    for update in updates[1:]:
        assert isinstance(update, Change)
        assert isinstance(update.new, Agent | Queue | Device | Call) or update.kind == "supervision"
    assert floor.call("c1").since == BASE
    link = floor.store.pbxs[PbxId("lab")]
    assert (link.state, link.reason, link.since) == (LinkState.DOWN, "connection lost", BASE + 1)
    assert link.version == "22.10.1"


def test_a_link_that_stays_down_is_down_since_the_first_time(floor: Floor) -> None:
    """A further attempt that fails changes the reason alone, and the same reason nothing."""
    floor.wait(1)
    floor.link_down("connection lost")
    floor.wait(5)
    assert floor.link_down("connection lost") == []
    floor.link_down("connection refused")
    link = floor.store.pbxs[PbxId("lab")]
    assert (link.reason, link.since) == ("connection refused", BASE + 1)


def test_a_link_that_never_stood_is_down(store: Store) -> None:
    """A PBX that cannot be reached at the start is there, with the reason, and no version."""
    floor = Floor(store)
    floor.link_down("no route to host")
    link = store.pbxs[PbxId("lab")]
    assert (link.state, link.reason, link.version, link.synchronized_at) == (
        LinkState.DOWN,
        "no route to host",
        "",
        None,
    )


def test_what_is_told_while_the_link_is_down_is_stale(floor: Floor) -> None:
    """A fact that was still under way does not make an entity look fresh."""
    floor.link_down()
    floor.customer_joins("c1", "support")
    floor.agent_joins("1001", "support")
    floor.phone("1001", DeviceState.IDLE)
    assert _stale(floor.store) == {"lab.c1", "support", "1001"}


def test_the_snapshot_after_the_return_makes_fresh(floor: Floor) -> None:
    """The same truth as before the loss: nothing is stale, and every `since` is what it was."""
    _busy(floor)
    before = {(entity.kind, entity.id): entity for entity in floor.store.entities()}
    floor.wait(1)
    floor.link_down()
    floor.link_up()
    assert _stale(floor.store) != set(), "the link alone tells nothing yet"
    floor.snapshot()
    after = {(entity.kind, entity.id): entity for entity in floor.store.entities()}
    calls = [key for key in before if key[0] in ("call", "agent", "device", "supervision")]
    for key in calls:
        assert alike(after[key], before[key])
        assert getattr(after[key], "confirmed_at") == BASE + 1  # noqa: B009 - not every kind has it
    assert _stale(floor.store) == set()
    assert floor.store.pbxs[PbxId("lab")].synchronized_at == BASE + 1


# Snapshots --------------------------------------------------------------------------------------------


def test_a_snapshot_on_an_empty_store_tells_all(store: Store) -> None:
    """What is on the PBX when ctid starts is known from one fact."""
    script = Floor(Store())
    _busy(script)
    floor = Floor(store)
    floor.link_up()
    floor.tell(script.truth())
    assert floor.agent("1001").state is AgentState.BUSY
    assert floor.agent("1001").call == "lab.c1"
    assert floor.device("1001").agent == "1001"
    assert floor.call("c1").supervisions == ("s1",)
    assert [caller.call for caller in floor.queue("support").waiting] == ["lab.c2"]


def test_a_snapshot_before_the_link_is_told_of_harms_nothing(store: Store) -> None:
    """Without a link there is no time of synchronization to tell."""
    floor = Floor(store)
    floor.agent_joins("1001", "support")
    floor.snapshot()
    assert store.pbxs == {}
    assert floor.agent("1001").state is AgentState.READY


def test_the_same_snapshot_twice_changes_nothing(floor: Floor) -> None:
    """A reconcile that agrees tells no more than when it was."""
    _busy(floor)
    floor.snapshot()
    assert floor.snapshot() == []
    floor.wait(1)
    assert [update.kind for update in floor.snapshot() if isinstance(update, Change)] == ["pbx"]


def test_what_a_snapshot_does_not_list_ends(floor: Floor) -> None:
    """Calls, sessions and memberships that went unseen end now; who is known stays known, logged out."""
    _busy(floor)
    floor.wait(60)
    updates = floor.snapshot(legs=(), members=(), queues=(), devices=(), supervisions=())
    assert {call.id for call in ended(updates, "call")} == {"lab.c1", "lab.c2"}
    assert {call.ended_at for call in ended(updates, "call")} == {BASE + 60}
    (session,) = ended(updates, "supervision")
    assert (session.state, session.end, session.ended_at) == (
        SupervisionState.ENDED,
        SupervisionEnd.LOST,
        BASE + 60,
    )
    assert {agent.state for agent in floor.store.agents.values()} == {AgentState.LOGGED_OUT}
    assert floor.agent("1001").device == "1001"
    assert floor.queue("support").waiting == ()
    assert floor.store.devices == {}


def test_a_snapshot_corrects_a_drift(floor: Floor) -> None:
    """A leg that moved, and one that came unseen, are as the snapshot says; nothing is invented."""
    _busy(floor)
    floor.legs.pop("a1")
    floor.put_member("1001", "support", serving=None, in_call=False)
    floor.rings("a2", "c1", "1002")
    floor.snapshot()
    assert {party.leg for party in floor.call("c1").parties} == {"c1", "a2"}
    assert floor.call("c1").state is CallState.ALERTING
    assert floor.agent("1001").state is AgentState.WORKING_AFTER_CALL
    assert floor.agent("1002").state is AgentState.OFFERED


def test_a_merge_that_a_snapshot_shows_is_told(floor: Floor) -> None:
    """A call whose legs all moved to another key while nobody looked ends as merged into that one."""
    floor.customer_dials("c1")
    floor.customer_dials("c2")
    floor.link_down()
    floor.link_up()
    floor.legs["c2"] = replace(floor.legs["c2"], call="c1")
    (gone,) = ended(floor.snapshot(), "call")
    assert (gone.id, gone.merged_into) == ("lab.c2", "lab.c1")


def test_a_supervisors_leg_left_behind_does_not_hide_a_merge_in_a_snapshot(floor: Floor) -> None:
    """A call of which the snapshot has the supervisor's leg alone was merged into where the others are."""
    floor.customer_dials("c1")
    floor.put_leg("p1", call="c1", incoming=False, supervision=SupervisionId("s1"))
    floor.legs["c1"] = replace(floor.legs["c1"], call="k2")
    (gone,) = ended(floor.snapshot(), "call")
    assert (gone.id, gone.merged_into) == ("lab.c1", "lab.k2")


def test_a_leg_that_moved_in_a_snapshot_does_not_end_those_who_stayed(floor: Floor) -> None:
    """A call that kept a leg is not merged, neither now nor when it ends later."""
    floor.put_leg("c1", call="k1", incoming=True)
    floor.put_leg("a1", call="k1", incoming=False)
    floor.legs["c1"] = replace(floor.legs["c1"], call="k2")
    assert ended(floor.snapshot(), "call") == []
    (gone,) = ended(floor.hangs_up("a1"), "call")
    assert (gone.id, gone.merged_into) == ("lab.k1", None)


# Supervisions -----------------------------------------------------------------------------------------


def test_a_session_is_named_by_its_call_while_it_lasts(floor: Floor) -> None:
    """The call tells who is in it without being a party."""
    floor.customer_dials("c1")
    floor.supervisor("s1", "c1", state=SupervisionState.RINGING)
    assert floor.call("c1").supervisions == ("s1",)
    assert [party.leg for party in floor.call("c1").parties] == ["c1"]
    floor.supervisor("s1", state=SupervisionState.ACTIVE, mode=Mode.WHISPER)
    assert floor.store.supervisions[SupervisionId("s1")].mode is Mode.WHISPER
    (session,) = ended(floor.supervisor_leaves("s1"), "supervision")
    assert (session.state, session.end) == (SupervisionState.ENDED, SupervisionEnd.SUPERVISOR_HUNG_UP)
    assert floor.call("c1").supervisions == ()


def test_the_end_of_a_session_is_told_once(floor: Floor) -> None:
    """An end that is told again, after a snapshot that was ahead of it, adds no second last document."""
    floor.customer_dials("c1")
    floor.supervisor("s1", "c1")
    last = floor.sessions["s1"]
    floor.supervisor_leaves("s1")
    floor.sessions["s1"] = last
    assert floor.supervisor_leaves("s1") == []


def test_a_session_that_follows_to_another_call_leaves_the_first(floor: Floor) -> None:
    """Only one call names it, and both are told."""
    floor.customer_dials("c1")
    floor.customer_dials("c2")
    floor.supervisor("s1", "c1")
    floor.supervisor_moves("s1", "c2")
    assert (floor.call("c1").supervisions, floor.call("c2").supervisions) == ((), ("s1",))


def test_a_session_of_an_unknown_call_is_kept(floor: Floor) -> None:
    """A session may be told before its call, which then names it."""
    floor.supervisor("s1", "c1")
    floor.customer_dials("c1")
    assert floor.call("c1").supervisions == ("s1",)


def test_a_session_follows_its_call_into_another(floor: Floor) -> None:
    """A driver that still tells the first call is understood; after the session nothing of it is kept."""
    floor.customer_dials("c1")
    floor.supervisor("s1", "c1")
    floor.put_leg("c1", call="k2")
    assert floor.call("k2").supervisions == ("s1",)
    floor.supervisor("s1", mode=Mode.WHISPER)
    session = floor.store.supervisions[SupervisionId("s1")]
    assert (session.call, session.mode) == ("lab.k2", Mode.WHISPER)
    floor.snapshot()
    assert floor.call("k2").supervisions == ("s1",)
    floor.put_leg("c1", call="k3")
    assert floor.call("k3").supervisions == ("s1",)
    (session,) = ended(floor.supervisor_leaves("s1"), "supervision")
    assert session.call == "lab.k3"
    assert floor.store._moved == {}


def test_a_merge_moves_its_own_sessions_alone(floor: Floor) -> None:
    """Who listens to another call stays there."""
    floor.customer_dials("c1")
    floor.customer_dials("c2")
    floor.supervisor("s1", "c1")
    floor.supervisor("s2", "c2")
    floor.put_leg("c1", call="k2")
    assert (floor.call("c2").supervisions, floor.call("k2").supervisions) == (("s2",), ("s1",))


def test_a_snapshot_that_cannot_see_sessions_leaves_them_as_they_were(floor: Floor) -> None:
    """A driver without its view of them says so: they are not lost, and not fresh."""
    floor.customer_dials("c1")
    floor.supervisor("s1", "c1")
    floor.link_down()
    floor.link_up()
    floor.snapshot(supervisions=None)
    session = floor.store.supervisions[SupervisionId("s1")]
    assert (session.state, session.stale) == (SupervisionState.ACTIVE, True)
    floor.snapshot()
    assert not floor.store.supervisions[SupervisionId("s1")].stale


def test_a_session_on_another_pbx_outlives_this_one_s_snapshot(store: Store) -> None:
    """A snapshot speaks for its own PBX only."""
    one, two = Floor(store, "one"), Floor(store, "two")
    one.link_up()
    two.link_up()
    two.customer_dials("c1")
    two.supervisor("s1", "c1")
    one.snapshot()
    assert list(store.supervisions) == ["s1"]


# Time -------------------------------------------------------------------------------------------------


def test_time_alone_changes_nothing_without_a_deadline(floor: Floor) -> None:
    """No after-call work: an hour passes, and no update is told."""
    _busy(floor)
    assert floor.store.next_deadline() is None
    assert floor.wait(3600) == []


def test_the_next_deadline_is_the_earliest(floor: Floor) -> None:
    """Of two agents in after-call work, whoever is free first."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1002", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.agent_serves("1002", "support", "c2", "a2")
    floor.call_over("1001", "support", "c1", "a1")
    floor.wait(4)
    floor.call_over("1002", "support", "c2", "a2")
    assert floor.store.next_deadline() == BASE + 10
    floor.wait(6)
    states = [floor.agent(agent).state for agent in ("1001", "1002")]
    assert states == [AgentState.READY, AgentState.WORKING_AFTER_CALL]
    assert floor.store.next_deadline() == BASE + 14


def test_a_device_that_no_member_names_belongs_to_nobody(floor: Floor) -> None:
    """A supervisor's phone is a device without an agent."""
    floor.phone("2001", DeviceState.IDLE)
    assert floor.store.devices[DeviceId("2001")].agent is None


def test_a_text_to_an_agent_is_told_onwards(floor: Floor) -> None:
    """As an occurrence, with who sent it; it changes no entity."""
    floor.agent_joins("1001", "support")
    told = floor.tell(
        AgentMessaged(pbx=floor.pbx, at=floor.now, agent=AgentId("1001"), text="line 2", by="sofia")
    )
    assert [(u.name, u.agent, u.by, u.text, u.seq) for u in told if isinstance(u, Occurrence)] == [
        ("agent_message", "1001", "sofia", "line 2", floor.store.seq)
    ]
    assert len(told) == 1

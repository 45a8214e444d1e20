import base64
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ctid.model.entities import Supervision
from ctid.model.ids import CallId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Hear, Mode, Purpose, SupervisionState
from ctid_asterisk.channels import session_of
from ctid_asterisk.sessions import (
    WHISPER,
    Names,
    Record,
    Remains,
    Stance,
    back_id,
    find,
    notice_id,
    pack,
    part_of,
    snooping,
    stance_of,
    unpack,
)

NOW = Instant(2000.0)
NOTHING = Remains(sessions=[], stray_channels=[], stray_bridges=[])
BEGUN = Instant(1000.25)
RECORD = Record(
    supervision=Supervision(
        id=SupervisionId("s1"),
        pbx=PbxId("lab"),
        state=SupervisionState.ACTIVE,
        mode=Mode.LISTEN,
        since=BEGUN,
        started_at=BEGUN,
        supervisor="zoé",
        phone="2001",
        agent=None,
        call=CallId("lab.1.1"),
        purpose=Purpose.QUALITY,
        note='with "quotes", commas, \\ and é',
    ),
    target=LegId("1.4"),
)
BRIDGE = "ctid-app.s1"
PHONE, LISTEN, WHISPERING, ONE_SIDE = (
    f"{BRIDGE}-{part}"
    for part in ("phone-1000.1", "listen_both-1000.2", "whisper_both-1000.3", "barge_customer-1000.4")
)
OTHERS = "ctid-other.s1"
STANCES = st.builds(Stance, st.sampled_from(sorted(WHISPER)), st.sampled_from(Hear), st.booleans())


def channels(*idents: str, down: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Channels as ARI lists them."""
    return [{"id": ident, "state": "Ringing" if ident in down else "Up"} for ident in idents]


def bridge(*members: str, ident: str = BRIDGE) -> list[dict[str, Any]]:
    """One bridge as ARI lists it."""
    return [{"id": ident, "channels": list(members)}]


def look(there: list[dict[str, Any]], bridges: list[dict[str, Any]], record: Record = RECORD) -> Remains:
    """What is found on the PBX."""
    return find(there, bridges, lambda _: pack(record), "app", NOW)


def test_a_record_survives_the_variable() -> None:
    """It is packed into characters that Asterisk's argument parser leaves alone, and read back the same."""
    packed = pack(RECORD)
    assert packed.replace("=", "").replace("-", "").replace("_", "").isalnum()
    assert unpack(packed) == RECORD


@given(
    note=st.text(),
    target=st.none() | st.text(min_size=1).map(LegId),
    stance=STANCES,
    state=st.sampled_from(SupervisionState),
)
def test_any_record_survives_the_variable(
    note: str, target: LegId | None, stance: Stance, state: SupervisionState
) -> None:
    """Whatever is said in it."""
    session = replace(
        RECORD.supervision,
        note=note,
        state=state,
        mode=stance.mode,
        hear=stance.hear,
        muted=stance.muted,
    )
    record = Record(supervision=session, target=target)
    assert unpack(pack(record)) == record
    assert stance_of(session) == stance


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "é",
        "====",
        base64.urlsafe_b64encode(b"{}").decode(),
        base64.urlsafe_b64encode(b"\xff").decode(),
    ],
)
def test_what_is_no_record_is_refused(value: str) -> None:
    """Whatever stands in the variable, it is a ValueError or a record."""
    with pytest.raises(ValueError, match="not a session's record"):
        unpack(value)


@given(stance=STANCES)
def test_nothing_passes_of_who_listens_or_is_mute(stance: Stance) -> None:
    """In every other stance something does."""
    assert stance.silent is (stance.muted or stance.mode is Mode.LISTEN)


def test_names_are_new_each_time_and_tell_their_part() -> None:
    """Ids of channels are never used twice, end like Asterisk's own, and name session and part."""
    names = Names("app", SupervisionId("s1"))
    assert (names.bridge, names.tone) == (BRIDGE, f"{BRIDGE}-tone")
    phone, again = names.phone(1000.6), names.phone(1000.6)
    assert phone != again
    assert phone.startswith(f"{BRIDGE}-phone-1001.")
    assert (part_of(phone), session_of(phone), snooping(phone)) == ("phone", "s1", None)


@given(stance=STANCES)
def test_a_snoop_channel_tells_who_hears_whom(stance: Stance) -> None:
    """Read from its id alone; whether her phone is mute is not in it."""
    snoop = Names("app", SupervisionId("s1")).snoop(stance, 1000.0)
    assert session_of(snoop) == "s1"
    assert snooping(snoop) == replace(stance, muted=False)


@pytest.mark.parametrize(
    "part", ["listen", "listen_", "_both", "takeover_both", "listen_all", "x_both", "phone"]
)
def test_what_is_no_snoop_channel_tells_nothing(part: str) -> None:
    """Of another release, or of none."""
    assert snooping(f"{BRIDGE}-{part}-1000.1") is None


@pytest.mark.parametrize("app", ["ctid", "ctid-2", "my.app", "a b/c", "é"])
def test_an_application_of_any_name_has_ids_that_can_be_read(app: str) -> None:
    """What would divide an id is no part of the name in it; session and part are found again."""
    names = Names(app, SupervisionId("s1"))
    assert re.fullmatch(r"ctid-\w+\.s1", names.bridge, re.ASCII)
    phone, notice = names.phone(1000.0), notice_id(app, 1000.0)
    assert (part_of(names.bridge), part_of(phone), session_of(phone)) == (None, "phone", "s1")
    remains = find(channels(phone, notice), [], lambda _: "", app, NOW)
    assert remains.stray_channels == [phone, notice]


def test_an_agent_who_is_rung_is_no_part_of_ours() -> None:
    """A restart does not hang her up: the customer may be with her by now."""
    back = back_id(SupervisionId("s1"), 1000.0)
    assert part_of(back) is None
    assert look(channels(back, "1.1"), bridge(back, "1.1", ident="b1")) == NOTHING


@pytest.mark.parametrize("unique", ["1795409466.1", BRIDGE, f"{BRIDGE}-phone", "pbx-s1-phone-1.1", ""])
def test_what_is_not_ours_is_no_part(unique: str) -> None:
    """Asterisk's own ids and bridges of ours are parts of no session."""
    assert part_of(unique) is None
    assert snooping(unique) is None


class TestFind:
    """What a restart finds."""

    def test_a_whole_session_is_taken_up(self) -> None:
        """Phone and snoop in the bridge: the record is believed, and nothing is left over."""
        remains = look(channels(PHONE, LISTEN, "1.4"), bridge(PHONE, LISTEN))
        (found,) = remains.sessions
        assert (found.phone, found.snoop, found.customer) == (PHONE, LISTEN, None)
        assert found.record == RECORD
        assert (remains.stray_channels, remains.stray_bridges) == ([], [])

    def test_the_snoop_tells_the_mode(self) -> None:
        """The record says how it began; the mode it is in now began at the latest now."""
        (found,) = look(channels(PHONE, WHISPERING), bridge(PHONE, WHISPERING)).sessions
        session = found.record.supervision
        assert (session.mode, session.hear, session.since) == (Mode.WHISPER, Hear.BOTH, NOW)

    def test_the_snoop_tells_the_side_and_the_record_whether_she_is_mute(self) -> None:
        """Each is where it cannot be lost."""
        kept = replace(RECORD, supervision=replace(RECORD.supervision, muted=True, hear=Hear.AGENT))
        (found,) = look(channels(PHONE, ONE_SIDE), bridge(PHONE, ONE_SIDE), kept).sessions
        assert stance_of(found.record.supervision) == Stance(Mode.BARGE, Hear.CUSTOMER, muted=True)

    def test_without_a_snoop_she_waits(self) -> None:
        """The agent has left, or she waited before; who waited goes on with it."""
        (found,) = look(channels(PHONE), bridge(PHONE)).sessions
        assert (found.record.supervision.state, found.snoop) == (SupervisionState.WAITING, None)
        assert found.record.supervision.since == NOW
        waiting = replace(
            RECORD, supervision=replace(RECORD.supervision, state=SupervisionState.WAITING, mode=Mode.BARGE)
        )
        (found,) = look(channels(PHONE), bridge(PHONE), waiting).sessions
        assert found.record == waiting

    def test_between_two_modes_she_waits_and_both_snoops_are_left_over(self) -> None:
        """Killed as one was out of the bridge, and the other not in yet."""
        remains = look(channels(PHONE, LISTEN, WHISPERING), bridge(PHONE))
        assert remains.sessions[0].record.supervision.state is SupervisionState.WAITING
        assert remains.stray_channels == [LISTEN, WHISPERING]
        assert remains.stray_bridges == []

    def test_on_her_way_to_another_agent_she_waits(self) -> None:
        """The record does not say whom the snoop channel is on: it is hung up."""
        between = replace(RECORD, target=None)
        remains = look(channels(PHONE, LISTEN), bridge(PHONE, LISTEN), between)
        (found,) = remains.sessions
        assert (found.record.supervision.state, found.snoop) == (SupervisionState.WAITING, None)
        assert remains.stray_channels == [LISTEN]

    def test_a_customer_tells_the_take_over(self) -> None:
        """In another's bridge, whoever is not ours is the customer; a snoop that was left is a stray."""
        remains = look(channels(PHONE, "1.1", LISTEN), bridge(PHONE, "1.1", ident="b1") + bridge(LISTEN))
        (found,) = remains.sessions
        session = found.record.supervision
        assert stance_of(session) == Stance(Mode.TAKEOVER)
        assert (session.state, found.customer, found.snoop) == (SupervisionState.ACTIVE, "1.1", None)
        assert remains.stray_channels == [LISTEN]
        assert remains.stray_bridges == [], "her own bridge is hers to clear away at the end"

    @pytest.mark.parametrize(
        ("there", "bridges", "stray"),
        [
            (channels(PHONE, LISTEN, down=(PHONE,)), bridge(LISTEN), [PHONE, LISTEN]),
            (channels(PHONE, LISTEN), bridge(LISTEN), [PHONE, LISTEN]),
            (channels(LISTEN), bridge(LISTEN), [LISTEN]),
            (channels(PHONE, LISTEN), bridge(PHONE, ident="b1") + bridge(), [PHONE, LISTEN]),
        ],
        ids=["still ringing", "not in yet", "phone gone", "alone in another's bridge"],
    )
    def test_what_is_not_whole_is_left_over(
        self, there: list[dict[str, Any]], bridges: list[dict[str, Any]], stray: list[str]
    ) -> None:
        """A session that nobody can vouch for is cleared away, its bridge as well."""
        remains = look(there, bridges)
        assert remains.sessions == []
        assert (remains.stray_channels, remains.stray_bridges) == (stray, [BRIDGE])

    def test_a_customer_is_never_left_over(self) -> None:
        """He is no channel of ours to be hung up."""
        remains = look(channels("1.1", PHONE, down=(PHONE,)), bridge("1.1", ident="b1"))
        assert (remains.sessions, remains.stray_channels, remains.stray_bridges) == ([], [PHONE], [])

    def test_a_phone_without_a_bridge_is_left_over(self) -> None:
        """Its bridge was destroyed."""
        remains = look(channels(PHONE, "1.4"), [])
        assert (remains.stray_channels, remains.stray_bridges) == ([PHONE], [])

    def test_a_record_that_cannot_be_read_is_left_over(self) -> None:
        """A session of another release must not keep the daemon from starting."""
        remains = find(
            channels(PHONE, LISTEN), bridge(PHONE, LISTEN), lambda _: "bm90IGEgcmVjb3Jk", "app", NOW
        )
        assert remains.sessions == []
        assert remains.stray_channels == [PHONE, LISTEN]

    def test_what_is_not_ours_is_left_alone(self) -> None:
        """Other calls and other programs' bridges are none of our business."""
        assert look(channels("1.1", "1.4"), bridge("1.1", "1.4", ident="b1")) == NOTHING

    def test_what_is_another_applications_is_left_alone(self) -> None:
        """Two ctids beside one PBX: neither takes up, gives back nor clears away what the other conducts."""
        whole = [f"{OTHERS}-phone-1000.1", f"{OTHERS}-listen_both-1000.2"]
        assert look(channels(*whole), bridge(*whole, ident=OTHERS)) == NOTHING
        half = [f"{OTHERS}-listen_both-1000.2", "1.1"]
        assert look(channels(*half), bridge(*half, ident=OTHERS)) == NOTHING
        longer = Names("app2", SupervisionId("s1")).bridge
        assert look(channels(f"{longer}-phone-1000.1"), bridge(ident=longer)) == NOTHING

    @given(
        there=st.lists(
            st.sampled_from([PHONE, LISTEN, WHISPERING, "1.1", "1.4", f"{OTHERS}-phone-1.1"]), unique=True
        ),
        inside=st.sets(st.sampled_from([PHONE, LISTEN, WHISPERING, "1.1"])),
        where=st.sampled_from([BRIDGE, "b1", OTHERS]),
        up=st.booleans(),
    )
    def test_whatever_is_there_is_kept_or_left_over(
        self,
        there: list[str],
        inside: set[str],
        where: str,
        up: bool,  # noqa: FBT001 - drawn
    ) -> None:
        """Every part of ours is one or the other, and nobody else's is either."""
        down = () if up else (PHONE,)
        remains = look(channels(*there, down=down), bridge(*inside & set(there), ident=where))
        kept = {part for found in remains.sessions for part in (found.phone, found.snoop) if part}
        assert kept.isdisjoint(remains.stray_channels)
        assert kept | set(remains.stray_channels) == {name for name in there if name.startswith(BRIDGE)}
        assert set(remains.stray_bridges) <= {BRIDGE}
        for found in remains.sessions:
            assert (found.customer is None) or found.snoop is None
            assert found.customer in (None, "1.1")

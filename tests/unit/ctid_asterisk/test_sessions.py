import base64
import re
from typing import Any

import pytest

from ctid.model.entities import Supervision
from ctid.model.ids import CallId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, Purpose, SupervisionState
from ctid_asterisk.channels import session_of
from ctid_asterisk.sessions import Names, Record, Remains, find, pack, part_of, stranded, unpack

NOW = Instant(2000.0)
NOTHING = Remains(sessions=[], stray_channels=[], stray_customers=[], stray_bridges=[])
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
    keys={"5": Mode.WHISPER},
)
BRIDGE = "ctid-app.s1"
PHONE, LISTEN, WHISPER = (f"{BRIDGE}-{part}" for part in ("phone-1000.1", "listen-1000.2", "whisper-1000.3"))
OTHERS = "ctid-other.s1"


def channels(*idents: str, down: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Channels as ARI lists them."""
    return [{"id": ident, "state": "Ringing" if ident in down else "Up"} for ident in idents]


def bridge(*members: str, ident: str = BRIDGE) -> list[dict[str, Any]]:
    """One bridge as ARI lists it."""
    return [{"id": ident, "channels": list(members)}]


def look(there: list[dict[str, Any]], bridges: list[dict[str, Any]], variable: str = "") -> Remains:
    """What is found on the PBX."""
    return find(there, bridges, lambda _: variable or pack(RECORD), "app", NOW)


def test_a_record_survives_the_variable() -> None:
    """It is packed into characters that Asterisk's argument parser leaves alone, and read back the same."""
    packed = pack(RECORD)
    assert packed.replace("=", "").replace("-", "").replace("_", "").isalnum()
    assert unpack(packed) == RECORD


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


def test_names_are_new_each_time_and_tell_their_part() -> None:
    """Ids of channels are never used twice, end like Asterisk's own, and name session and part."""
    names = Names("app", SupervisionId("s1"))
    assert names.bridge == BRIDGE
    phone, again, snoop = names.phone(1000.6), names.phone(1000.6), names.snoop(Mode.BARGE, 1000.0)
    assert phone != again
    assert phone.startswith(f"{BRIDGE}-phone-1001.")
    assert (part_of(phone), part_of(snoop)) == ("phone", "barge")
    assert session_of(phone) == session_of(snoop) == "s1"


@pytest.mark.parametrize("app", ["ctid", "ctid-2", "my.app", "a b/c", "é"])
def test_an_application_of_any_name_has_ids_that_can_be_read(app: str) -> None:
    """What would divide an id is no part of the name in it; session and part are found again."""
    names = Names(app, SupervisionId("s1"))
    assert re.fullmatch(r"ctid-\w+\.s1", names.bridge, re.ASCII)
    phone = names.phone(1000.0)
    assert (part_of(names.bridge), part_of(phone), session_of(phone)) == (None, "phone", "s1")
    remains = find(channels(phone), [], lambda _: "", app, NOW)
    assert remains.stray_channels == [phone]


@pytest.mark.parametrize("unique", ["1795409466.1", BRIDGE, f"{BRIDGE}-phone", "pbx-s1-phone-1.1", ""])
def test_what_is_not_ours_is_no_part(unique: str) -> None:
    """Asterisk's own ids and bridges of ours are parts of no session."""
    assert part_of(unique) is None


class TestFind:
    """What a restart finds."""

    def test_a_whole_session_is_taken_up(self) -> None:
        """Phone and snoop in the bridge: the record is believed, and nothing is left over."""
        remains = look(channels(PHONE, LISTEN, "1.4"), bridge(PHONE, LISTEN))
        (found,) = remains.sessions
        assert (found.phone, found.snoop, found.customer) == (PHONE, LISTEN, None)
        assert found.record == RECORD
        assert (remains.stray_channels, remains.stray_customers, remains.stray_bridges) == ([], [], [])

    def test_the_snoop_tells_the_mode(self) -> None:
        """The record says how it began; the mode it is in now began at the latest now."""
        (found,) = look(channels(PHONE, WHISPER), bridge(PHONE, WHISPER)).sessions
        assert (found.record.supervision.mode, found.record.supervision.since) == (Mode.WHISPER, NOW)

    def test_a_customer_tells_the_take_over(self) -> None:
        """Whoever is in her bridge and not ours is the customer; a snoop that was left is a stray."""
        remains = look(channels(PHONE, "1.1", LISTEN), bridge(PHONE, "1.1"))
        (found,) = remains.sessions
        assert (found.record.supervision.mode, found.customer, found.snoop) == (Mode.TAKEOVER, "1.1", None)
        assert remains.stray_channels == [LISTEN]

    @pytest.mark.parametrize(
        ("there", "inside", "stray"),
        [
            (channels(PHONE, LISTEN, down=(PHONE,)), (LISTEN,), [PHONE, LISTEN]),
            (channels(PHONE, LISTEN), (LISTEN,), [PHONE, LISTEN]),
            (channels(PHONE, LISTEN), (PHONE,), [PHONE, LISTEN]),
            (channels(LISTEN), (LISTEN,), [LISTEN]),
        ],
        ids=["still ringing", "not in yet", "between two modes", "phone gone"],
    )
    def test_what_is_not_whole_is_left_over(
        self, there: list[dict[str, Any]], inside: tuple[str, ...], stray: list[str]
    ) -> None:
        """A session that nobody can vouch for is cleared away, its bridge as well."""
        remains = look(there, bridge(*inside))
        assert remains.sessions == []
        assert (remains.stray_channels, remains.stray_bridges) == (stray, [BRIDGE])
        assert remains.stray_customers == []

    @pytest.mark.parametrize("down", [(), (PHONE,)], ids=["phone gone", "phone not up"])
    def test_a_customer_in_what_is_left_over_is_given_back(self, down: tuple[str, ...]) -> None:
        """He is no channel of ours to be hung up: whoever called is never thrown out."""
        remains = look(channels("1.1", LISTEN, *down, down=down), bridge("1.1", LISTEN, *down))
        assert remains.sessions == []
        assert remains.stray_customers == ["1.1"]
        assert remains.stray_channels == [LISTEN, *down]
        assert remains.stray_bridges == [BRIDGE]

    def test_a_phone_without_a_bridge_is_left_over(self) -> None:
        """Its bridge was destroyed."""
        remains = look(channels(PHONE, "1.4"), [])
        assert (remains.stray_channels, remains.stray_bridges) == ([PHONE], [])

    def test_a_record_that_cannot_be_read_is_left_over(self) -> None:
        """A session of another release must not keep the daemon from starting."""
        remains = look(channels(PHONE, LISTEN), bridge(PHONE, LISTEN), "bm90IGEgcmVjb3Jk")
        assert remains.sessions == []
        assert remains.stray_channels == [PHONE, LISTEN]

    def test_what_is_not_ours_is_left_alone(self) -> None:
        """Other calls and other programs' bridges are none of our business."""
        remains = look(channels("1.1", "1.4"), bridge("1.1", "1.4", ident="b1"))
        assert remains == NOTHING

    def test_what_is_another_applications_is_left_alone(self) -> None:
        """Two ctids beside one PBX: neither takes up, gives back nor clears away what the other conducts."""
        whole = [f"{OTHERS}-phone-1000.1", f"{OTHERS}-listen-1000.2"]
        assert look(channels(*whole), bridge(*whole, ident=OTHERS)) == NOTHING
        half = [f"{OTHERS}-listen-1000.2", "1.1"]
        assert look(channels(*half), bridge(*half, ident=OTHERS)) == NOTHING
        longer = Names("app2", SupervisionId("s1")).bridge
        assert look(channels(f"{longer}-phone-1000.1"), bridge(ident=longer)) == NOTHING


def test_customers_in_the_application_and_in_no_bridge_are_stranded() -> None:
    """Those of a take-over of this application alone: not who is joined, and not who is elsewhere."""

    def at(ident: str, app: str, data: str) -> dict[str, Any]:
        return {"id": ident, "dialplan": {"app_name": app, "app_data": data}}

    there = [
        at("1.1", "Stasis", "ctid,takeover,s1"),
        at("1.2", "Stasis", "ctid,takeover,s2"),
        at("1.3", "Stasis", "other,takeover,s1"),
        at("1.4", "Queue", "support"),
        at(PHONE, "Stasis", "ctid"),
    ]
    assert stranded(there, bridge("1.2"), "ctid") == ["1.1"]

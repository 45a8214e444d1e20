import json

from ctid.events.documents import Documents, owner_of, state_of
from ctid.events.topics import Topics
from ctid.model.entities import Call, Party, Supervision
from ctid.model.ids import AgentId, CallId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import CallState, Mode, PartyState, Purpose, Role, SupervisionState
from ctid.supervision.gate import Gate
from ctid.supervision.published import published

PBX = PbxId("p")
AT = Instant(1_000.25)
CUSTOMER = Party(
    leg=LegId("1"), role=Role.CUSTOMER, state=PartyState.CONNECTED, since=AT, number="0612345678", name="Zoé"
)
CALL = Call(
    id=CallId("p.1"), pbx=PBX, state=CallState.CONNECTED, since=AT, started_at=AT, parties=(CUSTOMER,)
)
SUPERVISION = Supervision(
    id=SupervisionId("s"),
    pbx=PBX,
    state=SupervisionState.ACTIVE,
    mode=Mode.LISTEN,
    since=AT,
    started_at=AT,
    supervisor="marie",
    phone="desk",
    agent=AgentId("1001"),
    call=CallId("p.1"),
    purpose=Purpose.QUALITY,
    note="she was rude yesterday",
)


def test_document_is_header_and_fields_flat() -> None:
    """A document begins with schema, boot id, seq and time, and then has the entity's fields beside them."""
    document = json.loads(Documents("lab", "b1", numbers_in_full=True).entity(CALL, 7, AT))
    assert list(document)[:5] == ["schema", "boot_id", "seq", "at", "id"]
    assert document["schema"] == "ctid.call/1"
    assert (document["boot_id"], document["seq"], document["at"]) == ("b1", 7, "1970-01-01T00:16:40.250Z")
    assert document["parties"][0]["number"] == "0612345678"
    assert document["started_at"] == "1970-01-01T00:16:40.250Z"


def test_callers_are_masked_by_default() -> None:
    """Unless numbers are given in full, neither number nor name of a caller is on the bus."""
    document = Documents("lab", "b1", numbers_in_full=False).entity(CALL, 7, AT).decode()
    assert "0612345678" not in document
    assert "Zoé" not in document


def test_note_of_a_supervision_is_left_out() -> None:
    """A session is published without what the supervisor noted."""
    document = json.loads(Documents("lab", "b1", numbers_in_full=True).entity(SUPERVISION, 7, AT))
    assert "note" not in document
    assert document["supervisor"] == "marie"


def test_a_standing_document_has_its_name_as_its_schema() -> None:
    """Header first, then its own fields; and it is no PBX's, so that no sweep takes it away."""
    document = Documents("lab", "b1", numbers_in_full=True).standing("periods", published(Gate()), 7, AT)
    told = json.loads(document)
    assert list(told) == ["schema", "boot_id", "seq", "at", "timezone", "law", "teams"]
    assert (told["schema"], told["timezone"]) == ("ctid.periods/1", "UTC")
    assert owner_of(document) is None
    assert Topics("a/b", "lab").standing("periods") == "a/b/lab/periods"


def test_own_documents_are_read_back() -> None:
    """A document found at the broker tells its PBX or its state; anything else tells none, whatever it is."""
    documents = Documents("lab", "b1", numbers_in_full=True)
    assert owner_of(documents.entity(CALL, 7, AT)) == "p"
    assert owner_of(b'{"schema": "ctid.pbx/1", "id": "q"}') == "q"
    assert state_of(documents.status("offline", 7, AT, reason="stopped")) == "offline"
    for other in (b"", b"no json", b"[1]", b'{"pbx": 4, "state": null}', b"\xff"):
        assert owner_of(other) is None
        assert state_of(other) is None

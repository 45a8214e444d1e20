import json
from typing import Any

from msgspec.structs import replace

from ctid.model.entities import Agent, Call, Party
from ctid.model.ids import AgentId, CallId, LegId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import AgentState, CallState, PartyState, Role
from ctid.state.changes import Change
from ctid.state.store import Store
from ctid.webhooks.letters import NewLetter
from ctid.webhooks.matching import Selection
from ctid.webhooks.sorting import Recipient, Sorter

AT = Instant(10.0)
CUSTOMER = Party(
    leg=LegId("1"), role=Role.CUSTOMER, state=PartyState.QUEUED, since=AT, number="0612345678", name="Ada"
)
AGENT = Party(
    leg=LegId("2"), role=Role.AGENT, state=PartyState.ALERTING, since=AT, number="1001", agent=AgentId("1001")
)
WAITS = Call(
    id=CallId("p.1"),
    pbx=PbxId("p"),
    state=CallState.QUEUED,
    since=AT,
    started_at=Instant(4.0),
    queue=QueueId("support"),
    dialled="7000",
    parties=(CUSTOMER,),
)
RINGS = replace(WAITS, state=CallState.ALERTING, parties=(CUSTOMER, AGENT))
OFFER = Change(seq=9, at=AT, old=WAITS, new=RINGS)


def recipient(name: str, *events: str, **fields: Any) -> Recipient:
    """A webhook."""
    filters = {key: fields.pop(key) for key in ("queues", "teams") if key in fields}
    known: dict[str, Any] = {"numbers_in_full": False}
    return Recipient(name=name, selection=Selection(events=events, **filters), **(known | fields))


def letters(*recipients: Recipient) -> list[NewLetter]:
    """The letters of a call that begins to ring at an agent of the team blue."""
    store = Store()
    store.agents[AgentId("1001")] = Agent(
        id=AgentId("1001"), pbx=PbxId("p"), name="", team="blue", state=AgentState.OFFERED, since=AT
    )
    return Sorter("lab", "b1", recipients).letters(OFFER, store, 11.0)


def test_each_gets_what_it_wants() -> None:
    """By type, queue and team; the ids are those that the events have on the broker."""
    found = letters(
        recipient("all", "*"),
        recipient("offers", "call.offered"),
        recipient("blue", "call.offered", teams=frozenset({"blue"}), queues=frozenset({"support"})),
        recipient("red", "*", teams=frozenset({"red"})),
        recipient("sales", "*", queues=frozenset({"sales"})),
        recipient("agents", "agent.*"),
    )
    assert [(each.hook, each.type, each.event) for each in found] == [
        ("all", "ctid.call.alerting", "b1-9"),
        ("all", "ctid.call.offered", "b1-9-2"),
        ("offers", "ctid.call.offered", "b1-9-2"),
        ("blue", "ctid.call.offered", "b1-9-2"),
    ]
    assert {(each.subject, each.kept_at) for each in found} == {("calls/p.1", 11.0)}
    assert json.loads(found[1].body)["id"] == "b1-9-2"


def test_numbers_and_the_address_of_the_crm() -> None:
    """In full for who is to have them; the address is in the events of a call that comes alone."""
    template = "https://crm/?n={number}&q={queue}"
    full, masked, plain, other = letters(
        recipient("full", "call.offered", numbers_in_full=True, pop_url=template),
        recipient("masked", "call.offered", pop_url="https://crm/{agent}"),
        recipient("plain", "call.offered"),
        recipient("other", "call.alerting", numbers_in_full=True, pop_url=template),
    )
    data = json.loads(full.body)["data"]
    assert (data["number"], data["name"]) == ("0612345678", "Ada")
    assert data["pop_url"] == "https://crm/?n=0612345678&q=support"
    data = json.loads(masked.body)["data"]
    assert (data["number"], data["name"], data["pop_url"]) == ("********78", "", "https://crm/1001")
    assert b"0612345678" not in masked.body + plain.body
    assert b"pop_url" not in plain.body + other.body


def test_a_trial() -> None:
    """An event that says nothing, with an id of its own each time."""
    sorter = Sorter("lab", "b1", [])
    sent = sorter.trial("crm", 9, AT, 3)
    event = json.loads(sent.body)
    assert (sent.event, event["id"], event["type"]) == ("b1-9-test-3", "b1-9-test-3", "ctid.webhook.test")
    assert (event["subject"], event["data"]["webhook"]) == ("webhooks/crm", "crm")

import json
from typing import Any

import pytest
from msgspec.structs import replace

from ctid.config import MqttConfig
from ctid.events.documents import Documents
from ctid.model.entities import Agent, Call, Device, Entity, Pbx, Queue, Waiting
from ctid.model.ids import AgentId, CallId, DeviceId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import AgentState, CallState, DeviceState, LinkState
from ctid.publish.home_assistant import HomeAssistant, topics_and_home
from ctid.state.changes import Change

AT, PBX = Instant(1_000.0), PbxId("main")
LINK = Pbx(id=PBX, driver="asterisk", state=LinkState.CONNECTED, since=AT)
CALL = Call(id=CallId("main.1"), pbx=PBX, state=CallState.QUEUED, since=AT, started_at=AT)
WAITING = Waiting(call=CALL.id, position=1, since=AT)
QUEUE = Queue(id=QueueId("a.b"), pbx=PBX, name="Support", since=AT, waiting=(WAITING,))
ANNA = Agent(id=AgentId("1"), pbx=PBX, name="Anna", state=AgentState.READY, since=AT)
BERT = Agent(id=AgentId("2"), pbx=PBX, name="Bert", state=AgentState.BUSY, since=AT)
PHONE = Device(id=DeviceId("1"), pbx=PBX, state=DeviceState.IDLE, since=AT)
CONFIG = "homeassistant/device/ctid-lab/config"
TOTALS = "ctid/lab/totals"


@pytest.fixture
def home() -> HomeAssistant:
    """What Home Assistant is told of a small floor."""
    documents = Documents("lab", "b1", numbers_in_full=False)
    _, made = topics_and_home(MqttConfig(home_assistant=True), "lab", documents)
    assert made is not None
    made.replace((LINK, QUEUE, CALL, ANNA, BERT, PHONE))
    return made


def change(old: Entity | None, new: Entity | None) -> Change:
    """A change of an entity."""
    return Change(seq=9, at=AT, old=old, new=new)


def told(home: HomeAssistant) -> dict[str, dict[str, Any]]:
    """All that is to be retained anew, by topic."""
    found = {}
    while (next_ := home.next(9, AT)) is not None:
        found[next_[0]] = json.loads(next_[1])
    return found


def test_the_device_and_its_entities(home: HomeAssistant) -> None:
    """A link, who waits in each queue, agents ready, live calls: of ctid's own topics, and nobody by name."""
    first = told(home)
    assert set(first) == {CONFIG, TOTALS}
    config = first[CONFIG]
    assert config["device"]["identifiers"] == ["ctid-lab"]
    assert config["origin"]["name"] == "ctid"
    assert config["availability_topic"] == "ctid/lab/status"
    components = config["components"]
    assert {name: each["state_topic"] for name, each in components.items()} == {
        "calls": TOTALS,
        "agents_ready": TOTALS,
        "pbx_main": "ctid/lab/pbx/main",
        "queue_a_b": "ctid/lab/queues/a.b",
    }
    assert components["pbx_main"]["platform"] == "binary_sensor"
    assert components["queue_a_b"]["value_template"] == "{{ value_json.waiting | count }}"
    assert len({each["unique_id"] for each in components.values()}) == len(components)
    assert "Anna" not in json.dumps(first)


def test_the_totals(home: HomeAssistant) -> None:
    """Calls, waiting callers, agents by state: a document with a header, said again only when one differs."""
    totals = told(home)[TOTALS]
    assert (totals["schema"], totals["calls"], totals["waiting"]) == ("ctid.totals/1", 1, 1)
    assert totals["agents"] == {"busy": 1, "ready": 1}
    home.apply(change(PHONE, replace(PHONE, state=DeviceState.IN_USE)))
    home.apply(change(ANNA, replace(ANNA, stale=True)))
    assert told(home) == {}
    home.apply(change(CALL, None))
    home.apply(change(CALL, None))
    assert told(home)[TOTALS]["calls"] == 0


def test_what_comes_and_goes(home: HomeAssistant) -> None:
    """A new queue is an entity more; one that is gone is named by its platform alone, and goes there."""
    told(home)
    sales = replace(QUEUE, id=QueueId("sales"), name="", waiting=())
    home.apply(change(None, sales))
    assert told(home)[CONFIG]["components"]["queue_sales"]["name"] == "sales waiting"
    home.apply(change(sales, None))
    assert told(home)[CONFIG]["components"]["queue_sales"] == {"platform": "sensor"}
    home.apply(change(None, sales))
    assert "name" in told(home)[CONFIG]["components"]["queue_sales"]


def test_a_broker_that_forgot(home: HomeAssistant) -> None:
    """All of it is said again."""
    first = told(home)
    home.again()
    assert told(home) == first


def test_while_it_is_off() -> None:
    """Nothing is told, and what was told once is among what ctid looks for to remove it."""
    documents = Documents("lab", "b1", numbers_in_full=False)
    topics, home = topics_and_home(MqttConfig(home_assistant_prefix="a/b"), "lab", documents)
    assert home is None
    assert {"a/b/device/ctid-lab/config", TOTALS} <= set(topics.entities)
    topics, _ = topics_and_home(MqttConfig(home_assistant=True), "lab", documents)
    assert TOTALS not in topics.entities

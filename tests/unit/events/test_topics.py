import pytest

from ctid.events.topics import Topics, level
from ctid.model.entities import Device, Pbx
from ctid.model.ids import DeviceId, PbxId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, LinkState


def test_each_entity_has_its_place() -> None:
    """An entity is at `<base>/<site>/<folder>/<id>`, an event at its type, and the base may have levels."""
    topics = Topics("acme/ctid", "paris")
    device = Device(id=DeviceId("1001"), pbx=PbxId("p"), state=DeviceState.IDLE, since=Instant(0))
    link = Pbx(id=PbxId("p"), driver="asterisk", state=LinkState.DOWN, since=Instant(0))
    assert topics.entity(device) == "acme/ctid/paris/devices/1001"
    assert topics.entity(link) == "acme/ctid/paris/pbx/p"
    assert topics.event("call.ended") == "acme/ctid/paris/events/call.ended"
    assert topics.status == "acme/ctid/paris/status"
    assert topics.client == "acme-ctid-paris"


def test_filters_match_no_event() -> None:
    """The filters by which ctid reads its own tree leave events and commands out."""
    filters = Topics("ctid", "lab").entities
    assert "ctid/lab/agents/+" in filters
    assert not [each for each in filters if "events" in each or "#" in each]


@pytest.mark.parametrize("text", ["", "a/b", "+", "#", "a b", "PJSIP/1001", "x" * 129, "\N{BELL}", "$SYS"])
def test_unsafe_level_is_refused(text: str) -> None:
    """What MQTT would read as more than one level, or as a wildcard, is no level of a topic."""
    with pytest.raises(ValueError, match="not fit"):
        level(text)

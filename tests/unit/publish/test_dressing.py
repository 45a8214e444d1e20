import msgspec
import pytest

from ctid.events.topics import EVENT_EXPIRY_S
from ctid.publish import dressing
from ctid.publish.packets import NOTHING


def test_event() -> None:
    """An event counts for an hour, and is a CloudEvent; its run, number and data's schema stand beside it."""
    event = {"specversion": "1.0", "bootid": "b", "seq": 7, "data": {"schema": "ctid.call/1", "id": "c"}}
    about = dressing.of_event(msgspec.json.encode(event))
    assert (about.expiry_s, about.content_type, about.text) == (3600, "application/cloudevents+json", True)
    assert about.user == (("schema", "ctid.call/1"), ("boot_id", "b"), ("seq", "7"))


def test_document() -> None:
    """A retained document counts for ever; what removes one has nothing beside it."""
    about = dressing.of_document(b'{"schema": "ctid.agent/1", "boot_id": "b", "seq": 7, "id": "1001"}')
    assert (about.expiry_s, about.content_type, about.text) == (None, "application/json", True)
    assert about.user == (("schema", "ctid.agent/1"), ("boot_id", "b"), ("seq", "7"))
    assert dressing.of_document(b"") is NOTHING


@pytest.mark.parametrize("payload", [b"{}", b"[1]", b"no json", b'{"seq": "x"}'])
def test_other_forms(payload: bytes) -> None:
    """What bears no such fields is sent without them."""
    assert dressing.of_event(payload).user == dressing.of_document(payload).user == ()
    assert dressing.of_document(payload).content_type == "application/json"
    assert dressing.of_event(payload).expiry_s == EVENT_EXPIRY_S


def test_reply() -> None:
    """An answer bears what the command correlates by, and counts for a minute."""
    about = dressing.of_reply(b"\x07")
    assert (about.correlation, about.expiry_s, about.user) == (b"\x07", 60, ())

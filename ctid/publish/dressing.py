"""What MQTT 5 tells beside ctid's documents: what they are, how long they count, and of which run. Pure."""

import msgspec
from msgspec import Struct

from ctid.events.topics import EVENT_EXPIRY_S
from ctid.publish.packets import NOTHING, About

REPLY_EXPIRY_S = 60
"""Whoever asked has given up by then."""
JSON = "application/json"
CLOUD_EVENT = "application/cloudevents+json"


class _Data(Struct, frozen=True, gc=False):
    schema: str


class _Event(Struct, frozen=True, gc=False):
    bootid: str
    seq: int
    data: _Data


class _Document(Struct, frozen=True, gc=False):
    schema: str
    boot_id: str
    seq: int


_event = msgspec.json.Decoder(_Event)
_document = msgspec.json.Decoder(_Document)


def of_event(payload: bytes) -> About:
    """Beside an event: the user properties `schema`, of its data, `boot_id` and `seq`."""
    try:
        told = _event.decode(payload)
    except msgspec.DecodeError:  # of an earlier version, and kept on disk since then
        return About(expiry_s=EVENT_EXPIRY_S, content_type=CLOUD_EVENT, text=True)
    user = (("schema", told.data.schema), ("boot_id", told.bootid), ("seq", str(told.seq)))
    return About(expiry_s=EVENT_EXPIRY_S, content_type=CLOUD_EVENT, text=True, user=user)


def of_document(payload: bytes) -> About:
    """Beside a retained document: the same, of its header. Nothing beside an empty one, which removes."""
    if not payload:
        return NOTHING
    try:
        told = _document.decode(payload)
    except msgspec.DecodeError:  # one that is written in another program's form
        return About(content_type=JSON, text=True)
    user = (("schema", told.schema), ("boot_id", told.boot_id), ("seq", str(told.seq)))
    return About(content_type=JSON, text=True, user=user)


def of_reply(correlation: bytes) -> About:
    """Beside the answer to a command: the command's correlation data, if there are any."""
    return About(expiry_s=REPLY_EXPIRY_S, content_type=JSON, text=True, correlation=correlation)

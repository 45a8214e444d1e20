"""What an act on a call asks for, what comes of it, and what is kept of a recording. Pure."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from ctid.model.entities import Call
from ctid.model.ids import AgentId, CallId, LegId, PbxId, QueueId
from ctid.model.instant import Instant


class Act(StrEnum):
    """What was done."""

    HANG_UP = "hang_up"
    TRANSFER = "transfer"
    PRIORITIZE = "prioritize"
    START_RECORDING = "start_recording"
    STOP_RECORDING = "stop_recording"
    PAUSE_RECORDING = "pause_recording"
    RESUME_RECORDING = "resume_recording"
    PRIVATE = "private"
    OBJECTED = "objected"
    DIAL = "dial"
    MESSAGE = "message"


class ActDone(Struct, frozen=True, kw_only=True):
    """Who did what to which call or agent; `refused` is the code of what went wrong, empty when it was done.

    `particulars` are what was asked for, by name, such as `to`; no audio, and no text of a message.
    """

    at: Instant
    act: Act
    by: str
    pbx: PbxId | None
    call: CallId | None = None
    agent: AgentId | None = None
    particulars: Mapping[str, str] = {}
    refused: str = ""


class RecordingAction(StrEnum):
    """What is to become of a call's recording."""

    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    """It goes on, and keeps silence: while a card's number is told."""
    RESUME = "resume"


class QueueTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A queue that a call is sent to."""

    queue: str


class CommandedCall(Struct, frozen=True, kw_only=True):
    """The call once an act is in force; one that is over by it is `ended`."""

    call: Call
    unconfirmed: bool = False
    """The PBX has carried it out, and the state does not show it after 2 s: look at the call again."""


class SentMessage(Struct, frozen=True, kw_only=True):
    """By which ways a text went to an agent."""

    agent: AgentId
    sip: bool
    """A SIP MESSAGE is on its way to her phone; whether it showed it nobody tells."""
    mqtt: bool
    """The event `agent.message` goes to the broker, which is connected."""
    reason: str = ""
    """Why one of the ways was not taken."""


class RecordingEntry(Struct, frozen=True, kw_only=True):
    """A recording that ctid had the PBX make, as the index keeps it: the audio is the PBX's alone."""

    id: int
    call: CallId
    leg: LegId
    """The agent's, with whose leaving it ends."""
    pbx: PbxId
    agent: AgentId | None = None
    queue: QueueId | None = None
    by: str
    basis: str
    """Why it may be made, as its maker said."""
    file: str
    """On the PBX; a name without a path is in its monitor folder."""
    started_at: Instant
    stopped_at: Instant | None = None

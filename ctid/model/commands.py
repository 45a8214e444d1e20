"""Commands: what ctid asks of a PBX, in the imperative and in no vendor's words."""

from msgspec import Struct

from ctid.model.entities import Supervision
from ctid.model.ids import AgentId, DeviceId, LegId, QueueId, SupervisionId
from ctid.model.words import CallFlag, Hear, Mode, SupervisionEnd


class StartSupervision(Struct, frozen=True, kw_only=True):
    """Ring the supervisor's phone and put her into the call.

    `supervision` is the session as it is to be published, its state `ringing`; `address` is the
    phone's on the PBX; `target` is the agent's leg, none when she is to wait for one; `ring_s` bounds the
    ringing, in seconds. With a `pin` she has to enter it before she hears anything. Else the keys of her
    phone do nothing; they are told (`KeyPressed`).
    """

    supervision: Supervision
    address: str
    target: LegId | None
    ring_s: float
    pin: str = ""


class SwitchSupervision(Struct, frozen=True, kw_only=True):
    """Change who hears the supervisor and whom she hears, without a new ring."""

    supervision: SupervisionId
    mode: Mode
    hear: Hear = Hear.BOTH
    muted: bool = False


class FollowSupervision(Struct, frozen=True, kw_only=True):
    """Put the supervisor into another call or at another agent's side, without a new ring.

    `supervision` tells what changes with it: agent, call, mode, number of calls. `target` is the leg of
    the agent.
    """

    supervision: Supervision
    target: LegId


class KeepSupervision(Struct, frozen=True, kw_only=True):
    """Keep, with the session on the PBX, what is the core's to say: who leads, limits, notice, calls.

    State, mode, hear and muted stay what they are, whatever `supervision` says of them.
    """

    supervision: Supervision


class TakeOver(Struct, frozen=True, kw_only=True):
    """Leave the customer with the supervisor and release the agent.

    `customer` is the leg to keep, `agent` the leg to release. They talk with each other, audio both ways,
    before the agent goes; if a step fails, the customer stays with the agent.
    """

    supervision: SupervisionId
    customer: LegId
    agent: LegId


class HandBack(Struct, frozen=True, kw_only=True):
    """Return a customer who was taken over to the agent, and end the session.

    Rings the agent at `address` (none: where the driver knows her), for `ring_s` seconds at most; the
    supervisor stays with the customer until the agent has answered, and goes on with him if she does not.
    """

    supervision: SupervisionId
    agent: AgentId
    address: str | None = None
    ring_s: float


class GiveNotice(Struct, frozen=True, kw_only=True):
    """Sound a short tone in the ear of the party at `target`, which nobody else hears."""

    target: LegId


class EndSupervision(Struct, frozen=True, kw_only=True):
    """Release the supervisor; the call goes on. After a take-over the call is hers, and ends with it.

    `unless_taken_over`: refuse that last, for the customer has nobody else; a take-over that is under way
    is waited for.
    """

    supervision: SupervisionId
    reason: SupervisionEnd = SupervisionEnd.RELEASED
    unless_taken_over: bool = False


class LogInAgent(Struct, frozen=True, kw_only=True):
    """Make an agent a member of a queue. She is one in the end, also if she was one before.

    `address` is what the PBX dials to reach her; none leaves it to the driver, which knows her from other
    queues or by its own settings.
    """

    agent: AgentId
    queue: QueueId
    name: str = ""
    address: str | None = None
    paused: bool = False
    reason: str = ""
    penalty: int = 0


class LogOutAgent(Struct, frozen=True, kw_only=True):
    """End an agent's membership of a queue; a call that she is in goes on."""

    agent: AgentId
    queue: QueueId


class PauseAgent(Struct, frozen=True, kw_only=True):
    """Have a queue offer an agent no more calls, for a reason; or change the reason of a pause."""

    agent: AgentId
    queue: QueueId
    reason: str


class ResumeAgent(Struct, frozen=True, kw_only=True):
    """End an agent's pause in a queue."""

    agent: AgentId
    queue: QueueId


class HangUpLegs(Struct, frozen=True, kw_only=True):
    """Hang up these legs in their order; one that is gone is hung up already."""

    legs: tuple[LegId, ...]


class TransferCall(Struct, frozen=True, kw_only=True):
    """Send the party at `leg` on to a number, in a part of the PBX's dialplan.

    `agent` is the leg with which the party talks, and which is released; none when nobody does yet.
    """

    leg: LegId
    agent: LegId | None
    number: str
    context: str


class PrioritizeCaller(Struct, frozen=True, kw_only=True):
    """Move who waits at `leg` up in a queue, to a position counted from 1; the others keep their order."""

    leg: LegId
    queue: QueueId
    position: int


class StartRecording(Struct, frozen=True, kw_only=True):
    """Keep the audio of an agent's conversation in a file of the PBX, until her leg leaves it.

    Who listens, whispers or barges in is not in it. `file` is a name or an absolute path, its extension the
    format.
    """

    leg: LegId
    file: str


class StopRecording(Struct, frozen=True, kw_only=True):
    """End all recording of these legs, whoever began it; none is a success."""

    legs: tuple[LegId, ...]


class PauseRecording(Struct, frozen=True, kw_only=True):
    """Have the recordings of these legs keep silence from now on, or (not `paused`) audio again."""

    legs: tuple[LegId, ...]
    paused: bool


class FlagCall(Struct, frozen=True, kw_only=True):
    """Keep a flag with each of a call's legs, for as long as these live."""

    legs: tuple[LegId, ...]
    flag: CallFlag


class DialForAgent(Struct, frozen=True, kw_only=True):
    """Ring an agent for at most `ring_s` seconds, then have her call a number, in a part of the dialplan.

    `leg` is the id that her leg is to have. She is reached at `address`, or (none) as the driver knows her.
    """

    leg: LegId
    agent: AgentId
    device: DeviceId | None
    address: str | None
    number: str
    context: str
    ring_s: float


class SendMessage(Struct, frozen=True, kw_only=True):
    """Send a text to a phone (RFC 3428); returns once it is on its way. `sender` is a name for people."""

    device: DeviceId
    text: str
    sender: str


CallCommand = (
    HangUpLegs
    | TransferCall
    | PrioritizeCaller
    | StartRecording
    | StopRecording
    | PauseRecording
    | FlagCall
    | DialForAgent
    | SendMessage
)
AgentCommand = LogInAgent | LogOutAgent | PauseAgent | ResumeAgent
SupervisionCommand = (
    StartSupervision
    | SwitchSupervision
    | FollowSupervision
    | KeepSupervision
    | TakeOver
    | HandBack
    | GiveNotice
    | EndSupervision
)
Command = AgentCommand | SupervisionCommand | CallCommand

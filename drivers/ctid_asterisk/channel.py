"""One channel of the PBX as the wire tells it. Pure."""

from ctid.model.facts import Leg
from ctid.model.ids import QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import LegState, Recording
from ctid_asterisk.fields import OURS, device_of_channel, is_party
from ctid_asterisk.rtcp import Reports


class Channel:
    """One channel of the PBX, known by its unique id. Raises ValueError: it has none."""

    __slots__ = (
        "bridge",
        "bridged",
        "conference",
        "connected_at",
        "created_at",
        "device",
        "dialled",
        "for_caller",
        "for_whom",
        "held",
        "incoming",
        "kept_call",
        "leaving",
        "linked",
        "moving",
        "name",
        "number",
        "objected",
        "ours",
        "parked",
        "party",
        "person",
        "position",
        "private",
        "queue",
        "queued_at",
        "recordings",
        "reports",
        "silenced",
        "standing",
        "stands_for",
        "state",
        "told",
        "unique",
    )

    def __init__(self, unique: str, name: str, linked: str, created_at: Instant, *, incoming: bool) -> None:
        if not unique:
            raise ValueError("a channel without a unique id")
        self.unique = unique
        self.linked = linked
        self.created_at = created_at
        self.incoming = incoming
        self.ours = unique.startswith(OURS)
        self.rename(name)
        self.state = LegState.INITIATED
        self.connected_at: Instant | None = None
        self.held = False
        self.bridge: str | None = None
        self.bridged = False
        """It has been in a conversation with another party."""
        self.for_caller = False
        """It was dialled on behalf of another channel, to be bridged with it."""
        self.for_whom = ""
        """The unique id of that channel, once an event has told it."""
        self.moving = False
        """A Local pair is being optimised away around it: what it leaves now it leaves for another bridge."""
        self.leaving = False
        """It left its bridge while moving."""
        self.standing = False
        """An agent of the pool is logged in by it: no call by itself, and no caller's while she waits."""
        self.stands_for = ""
        """The party that a Local half was last seen to act for."""
        self.number = ""
        self.person = ""
        self.dialled = ""
        self.queue: QueueId | None = None
        self.position: int | None = None
        self.queued_at: Instant | None = None
        self.kept_call = ""
        """The call of the room it has left, until it does something else."""
        self.parked = ""
        """The place it is parked at."""
        self.conference = ""
        """The room it is in."""
        self.private = False
        self.objected = False
        self.recordings = 0
        """How many recordings keep its audio."""
        self.silenced = False
        """They keep silence for now."""
        self.reports: Reports | None = None
        """How its audio travels; none until a report tells."""
        self.told: Leg | None = None
        """The leg as it was last told; none while it is not."""

    @property
    def recording(self) -> Recording:
        """Whether its audio is kept."""
        if not self.recordings:
            return Recording.OFF
        return Recording.PAUSED if self.silenced else Recording.ON

    def rename(self, name: str) -> None:
        """Give it another name: a masquerade."""
        self.name = name
        self.party = is_party(name)
        self.device = device_of_channel(name)


def session_of(unique: str) -> SupervisionId:
    """The session an id of ours is of: `s1a2` of `ctid-app.s1a2-phone-1795409466.1`."""
    return SupervisionId(unique.split("-", 2)[1].rpartition(".")[2])

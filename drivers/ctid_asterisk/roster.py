"""What Asterisk calls its queues' members, kept also after they left. Pure.

By it an agent who logs in again gets the interface, the state interface and the penalty that she had.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from ctid.model.ids import AgentId, QueueId, safe_id
from ctid_asterisk.fields import agent_of_interface, is_party, natural
from ctid_asterisk.members import Key
from ctid_asterisk.wire import Message

EVENT = "QueueMember"
"""How the names of all events and items of members begin."""


_REMEMBERED = 1000
"""How many are kept who are no members any more."""


class Known(Struct, frozen=True):
    """A member in Asterisk's own words. `queue` is its name as it is."""

    queue: str
    interface: str
    state_interface: str
    name: str
    penalty: int
    present: bool
    """She is a member now."""
    paused: bool
    reason: str


class Roster:
    """All members that were ever told of on this connection, by queue and interface."""

    def __init__(self) -> None:
        self._known: dict[Key, Known] = {}
        self._queues: dict[QueueId, str] = {}

    def read(self, message: Message) -> None:
        """Take an event or item of a member or of a queue; one that lacks a field is left out."""
        fields = message.fields
        queue = fields.get("queue", "")
        if queue:
            self._queues[QueueId(safe_id(queue))] = queue
        interface = fields.get("interface") or fields.get("location", "")
        if not queue or not interface or not message.name.startswith(EVENT):
            return
        penalty = natural(fields.get("penalty", "")) or 0
        self._known[queue, interface] = Known(
            queue=queue,
            interface=interface,
            state_interface=fields.get("stateinterface", ""),
            name=fields.get("membername") or fields.get("name", ""),
            penalty=penalty,
            present=message.name != "QueueMemberRemoved",
            paused=fields.get("paused") == "1",
            reason=fields.get("pausedreason", ""),
        )

    def replace_present(self, items: Iterable[Message]) -> None:
        """Take a whole list of queues: what is not in it is no queue, and who is not no member now."""
        self._queues = {}
        known = {key: replace(known, present=False) for key, known in self._known.items()}
        self._known = {}
        for item in items:
            self.read(item)
        gone = [key for key in known if key not in self._known]
        self._known = {key: known[key] for key in gone[-_REMEMBERED:]} | self._known

    def queue_name(self, queue: QueueId) -> str | None:
        """Asterisk's name of a queue, or none when there is none."""
        return self._queues.get(queue)

    def members(self, agent: AgentId, queue: QueueId) -> list[Known]:
        """An agent's memberships of one queue: more than one when she has several interfaces."""
        return [
            known
            for known in self._known.values()
            if known.present
            and safe_id(known.queue) == queue
            and agent_of_interface(known.interface) == agent
        ]

    def address_of(self, agent: AgentId) -> str | None:
        """What Asterisk dials to reach an agent, as a queue has it; none when she is, and was, in none."""
        hers = [known for known in self._known.values() if agent_of_interface(known.interface) == agent]
        known = max(hers, key=lambda known: known.present, default=None)
        return known.interface if known is not None else None

    def interface(self, agent: AgentId) -> str:
        """What the PBX dials for an agent, if that is a phone and no Local channel; empty when it is not."""
        known = self.last_known(agent, QueueId(""))
        if known is None:
            return ""
        ways = (known.interface, known.state_interface)
        return next((way for way in ways if is_party(way)), "")

    def last_known(self, agent: AgentId, queue: QueueId) -> Known | None:
        """What is known of an agent: in this queue best, else where she is a member, else where she was."""
        hers = [known for known in self._known.values() if agent_of_interface(known.interface) == agent]
        return max(hers, key=lambda known: (safe_id(known.queue) == queue, known.present), default=None)

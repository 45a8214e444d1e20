"""AMI messages into facts. The vendor's words end here. Pure, time is an argument.

A channel is created by `Newchannel` or by the lists alone, so an event of a channel that is no longer
there does nothing; everything else sets state, so that hearing an event again, or one that the lists
were ahead of, ends in the same state once the wire has caught up. The handlers are in the rooms of their
subjects: channels, queues, calls and devices.
"""

from msgspec.structs import force_setattr

from ctid.model.facts import Fact
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid_asterisk.act_events import FLAGS, RECORDING, ActEvents
from ctid_asterisk.call_events import CallEvents
from ctid_asterisk.channel_events import ChannelEvents
from ctid_asterisk.departures import VARIABLE
from ctid_asterisk.device_events import DeviceEvents
from ctid_asterisk.fields import number, stamped
from ctid_asterisk.monitoring_events import MonitoringEvents
from ctid_asterisk.queue_events import QueueEvents
from ctid_asterisk.told import Fields, Handler, Told
from ctid_asterisk.wire import Message

__all__ = ["REPORTS", "VARIABLES", "Fields", "Normalizer", "UnreadableError"]

VARIABLES = frozenset({VARIABLE, RECORDING, *FLAGS})
"""The channel variables whose `VarSet` is read here."""
REPORTS = frozenset({"RTCPSent", "RTCPReceived"})
"""The events of how audio travels, which are read only when that is wanted."""


class UnreadableError(Exception):
    """An event or a list's item is not of the form that Asterisk documents; nothing of it was told."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(f"{name}: {type(error).__name__} {error}")
        self.name = name


class Normalizer(Told):
    """What one Asterisk has told since it was connected to, and the reading of what it tells.

    `quality`: read the reports of how audio travels. `takeover_context`: where ctid's own transfers lead.
    """

    def __init__(self, pbx: PbxId, *, quality: bool = True, takeover_context: str = "ctid-takeover") -> None:
        super().__init__(pbx)
        queues = QueueEvents(self)
        monitoring = MonitoringEvents(self)
        channels = ChannelEvents(self, queues.goes_on, monitoring.newchannel)
        acts = ActEvents(self)
        self._departures = queues.departures
        self._handlers: dict[str, Handler] = {
            **channels.handlers,
            **queues.handlers,
            **CallEvents(self, takeover_context).handlers,
            **DeviceEvents(self).handlers,
            **monitoring.handlers,
            **(channels.reports if quality else {}),
            **acts.handlers,
            "VarSet": _both(queues.handlers["VarSet"], acts.handlers["VarSet"]),
        }
        self.wanted = frozenset(self._handlers)
        """The names of the events that are read here."""

    def sweep(self, at: Instant) -> None:
        """Forget what was told of channels, members and devices that are no more. Tells nothing."""
        self.channels.sweep()
        self.members.sweep(self.channels.by_id, at)
        self._departures.sweep(self.channels.by_id)
        self.contacts.sweep(self.devices)

    def receive(self, message: Message, now: Instant) -> list[Fact]:
        """Read one event; `now` is taken where the wire tells no time. Returns what it told.

        Raises:
            UnreadableError: a field is missing or is no number; a new snapshot is due.
        """
        name = message.name
        handler = self._handlers.get(name)
        if handler is None:
            return []
        fields = message.legible
        stamp = fields.get("timestamp")
        try:
            at = stamped(number(stamp), now) if stamp else now
            handler(fields, at)
        except (KeyError, ValueError) as error:
            self.facts = []
            raise UnreadableError(name, error) from error
        if at >= self._departures.due:
            self.facts += self._departures.overdue(at)
        facts = self.facts
        if facts:
            self.facts = []
            for fact in facts:
                force_setattr(fact, "source", name)  # frozen for all who get it; nobody has seen it yet
        return facts


def _both(one: Handler, other: Handler) -> Handler:
    """Two rooms read the same event, each some of it."""

    def read(fields: Fields, at: Instant) -> None:
        one(fields, at)
        other(fields, at)

    return read

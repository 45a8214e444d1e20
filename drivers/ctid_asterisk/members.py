"""Queue members as the wire tells them, and whom each is being offered and serves. Pure."""

from msgspec.structs import replace

from ctid.model.facts import Member
from ctid.model.ids import LegId, QueueId, safe_id
from ctid.model.instant import Instant
from ctid.model.words import DeviceState
from ctid_asterisk.fields import MEMBER_STATES, agent_of_interface, device_of_interface, printable

Key = tuple[str, str]
"""Queue and interface, in Asterisk's own words."""


class Members:
    """The memberships, by queue and interface."""

    def __init__(self) -> None:
        self.by_key: dict[Key, Member] = {}
        self.offers: dict[str, Key] = {}
        """The channel dialled by a queue, to the member it is dialled for."""
        self.serves: dict[str, Key] = {}
        """The channel a queue connected, to the member it was connected for."""

    def read(self, fields: dict[str, str]) -> tuple[Key, Member]:
        """Read a member's block, of an event or of a list's item.

        Items name the member and the interface `Name` and `Location`, events `MemberName` and
        `Interface` (Asterisk, app_queue.c). What the block does not tell is kept.
        """
        interface = fields.get("interface") or fields["location"]
        key = (fields["queue"], interface)
        old = self.by_key.get(key)
        last_call = _instant(fields.get("lastcall", "0"))
        if old is not None and old.last_call_at is not None:
            last_call = max(last_call or old.last_call_at, old.last_call_at)
        paused = fields.get("paused", "0") == "1"
        member = Member(
            queue=QueueId(safe_id(key[0])),
            agent=agent_of_interface(interface),
            name=printable(fields.get("membername") or fields.get("name", "")),
            device=device_of_interface(fields.get("stateinterface") or interface),
            device_state=MEMBER_STATES.get(fields.get("status", "0"), DeviceState.UNKNOWN),
            paused=paused,
            reason=printable(fields.get("pausedreason", "")) if paused else "",
            in_call=fields.get("incall", "0") == "1",
            offered=old.offered if old else None,
            serving=old.serving if old else None,
            penalty=int(fields.get("penalty", "0") or 0),
            calls_taken=int(fields.get("callstaken", "0") or 0),
            last_call_at=last_call,
            wrapup_s=float(fields.get("wrapuptime", "0") or 0),
        )
        return key, member

    def offer(self, key: Key, caller: str, dialled: str) -> Key:
        """A queue dials `dialled` for the member, to offer `caller`."""
        self.offers[dialled] = key
        self._set(key, offered=LegId(caller))
        return key

    def offer_over(self, dialled: str) -> Key | None:
        """The dialled channel answered elsewhere, or is gone; returns whose offer that was."""
        key = self.offers.pop(dialled, None)
        if key is not None:
            self._set(key, offered=None)
        return key

    def connect(self, key: Key, caller: str, dialled: str) -> Key:
        """The queue connected `caller` with the member."""
        self.offers.pop(dialled, None)
        self.serves[dialled] = key
        self._set(key, offered=None, serving=LegId(caller), in_call=True)
        return key

    def swap(self, old: str, new: str) -> None:
        """`new` took the place of `old` in its bridge: an optimised Local pair stands aside for the phone."""
        for table in (self.offers, self.serves):
            key = table.pop(old, None)
            if key is not None:
                table[new] = key

    def serve_over(self, dialled: str, at: Instant) -> Key | None:
        """The member is done with the caller; returns who it was, once."""
        key = self.serves.pop(dialled, None)
        if key is not None:
            self._set(key, serving=None, in_call=False, last_call_at=at)
        return key

    def over_for(self, caller: str, at: Instant) -> list[Key]:
        """The caller's channel is gone; returns the members who were offered or served it."""
        leg = LegId(caller)
        touched = []
        for key, member in self.by_key.items():
            if leg in (member.serving, member.offered):
                touched.append(key)
        for dialled, key in list(self.serves.items()):
            if key in touched and self.by_key[key].serving == leg:
                self.serve_over(dialled, at)
        for dialled, key in list(self.offers.items()):
            if key in touched and self.by_key[key].offered == leg:
                self.offer_over(dialled)
        return touched

    def _set(
        self,
        key: Key,
        **changed: object,
    ) -> None:
        member = self.by_key.get(key)
        if member is not None:
            self.by_key[key] = replace(member, **changed)


def _instant(epoch: str) -> Instant | None:
    return Instant(epoch) if epoch not in ("", "0") else None

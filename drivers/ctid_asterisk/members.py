"""Queue members as the wire tells them, and whom each is being offered and serves. Pure."""

from collections.abc import Container

from msgspec.structs import replace

from ctid.model.facts import Member
from ctid.model.ids import DeviceId, LegId, QueueId, safe_id
from ctid.model.instant import Instant
from ctid.model.words import DeviceState
from ctid_asterisk.fields import (
    AGENT_POOL,
    MEMBER_STATES,
    agent_of_interface,
    device_of_interface,
    instant,
    number,
    printable,
    whole,
)

Key = tuple[str, str]
"""Queue and interface, in Asterisk's own words."""

Engagement = tuple[Key, LegId]
"""A member, and the caller whom he is offered or serves."""


_LONGEST_WRAPUP_S = 86_400.0
"""More after-call work than a day is none that anybody means, and its end may be no time at all."""
_REMEMBERED = 1000
"""How many logins of the pool's agents are kept, of whom the log-off may never be told."""


class Members:
    """The memberships, by queue and interface."""

    def __init__(self) -> None:
        self.by_key: dict[Key, Member] = {}
        self.offers: dict[str, Engagement] = {}
        """The channel dialled by a queue, to the member it is dialled for and the caller it is for."""
        self.serves: dict[str, Engagement] = {}
        """The channel a queue connected, to the member and the caller; a member may have several."""
        self.pool: dict[str, DeviceId] = {}
        """The agents of the pool who are logged in, by their state interface, to the phone they use."""
        self._states: dict[Key, str] = {}
        """The state interface of each member."""
        self._last: dict[Key, LegId] = {}
        """The caller whom each member was last connected with."""
        self._picked_up: dict[str, Key | None] = {}
        """Channels whose ringing somebody else took, and theirs, to the member who was connected in vain."""

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
        state_interface = fields.get("stateinterface") or interface
        self._states[key] = state_interface
        since = _instant(fields.get("logintime", "0"))
        member = Member(
            queue=QueueId(safe_id(key[0])),
            agent=agent_of_interface(interface),
            name=printable(fields.get("membername") or fields.get("name", "")),
            device=self.pool.get(state_interface) or device_of_interface(state_interface),
            device_state=MEMBER_STATES.get(fields.get("status", "0"), DeviceState.UNKNOWN),
            paused=paused,
            reason=printable(fields.get("pausedreason", "")) if paused else "",
            in_call=fields.get("incall", "0") == "1",
            offered=old.offered if old else None,
            serving=old.serving if old else None,
            penalty=whole(fields.get("penalty") or "0"),
            calls_taken=whole(fields.get("callstaken") or "0"),
            last_call_at=last_call,
            paused_at=_instant(fields.get("lastpause", "0")) if paused else None,
            logged_in_at=since if since is not None or old is None else old.logged_in_at,
            wrapup_s=min(number(fields.get("wrapuptime") or "0"), _LONGEST_WRAPUP_S),
        )
        return key, member

    def offer(self, key: Key, caller: str, dialled: str) -> Key:
        """A queue dials `dialled` for the member, to offer `caller`."""
        self.offers[dialled] = (key, LegId(caller))
        self._refresh(key)
        return key

    def offer_over(self, dialled: str) -> Key | None:
        """The dialled channel answered elsewhere, or is gone; returns whose offer that was."""
        key, _ = self.offers.pop(dialled, _NOBODY)
        if key is not None:
            self._refresh(key)
        return key

    def connect(self, key: Key, caller: str, dialled: str) -> Key:
        """The queue connected `caller` with the member, or with whom picked it up in her stead."""
        self.offers.pop(dialled, None)
        self._last[key] = LegId(caller)
        if dialled in self._picked_up:
            self._picked_up[dialled] = key
        else:
            self.serves[dialled] = (key, LegId(caller))
        self._refresh(key, in_call=True)
        return key

    def last_caller(self, key: Key) -> LegId | None:
        """The caller whom the member was last connected with."""
        return self._last.get(key)

    def pick_up(self, device: DeviceId | None, target: str, by: str, call: Container[str]) -> list[Key]:
        """Somebody answers in her own channel `by` what rings at `target`, which is of `device`.

        `call` are the callers who may be meant. The queue goes on to believe that its member takes the call;
        returns the members to whom it rings no longer.
        """
        taken = [
            dialled
            for dialled, (key, caller) in self.offers.items()
            if dialled == target or (caller in call and self._device(key) == device)
        ]
        self._picked_up.update(dict.fromkeys([*taken, by]))
        return [key for key in [self.offer_over(dialled) for dialled in taken] if key is not None]

    def forget(self, channel: str) -> Key | None:
        """A channel is gone; returns the member whom the queue believed in its call, which another took."""
        key = self._picked_up.pop(channel, None)
        if key is not None:
            self._refresh(key, in_call=any(other == key for other, _ in self.serves.values()))
        return key

    def swap(self, old: str, new: str, device: DeviceId | None) -> None:
        """`new`, of `device`, took the place of the Local half `old` in its bridge.

        An optimised pair stands aside for the member's phone, or for another half before it; with anybody
        else in its place she is no longer with the caller, which ends when the half does.
        """
        for table in (self.offers, self.serves):
            key, _ = table.get(old, _NOBODY)
            if key is not None and device in (None, self._device(key)):
                table[new] = table.pop(old)

    def becomes(self, old: str, new: str) -> list[Key]:
        """Another caller has taken the place of `old`: a transfer into a queue that was consulted first."""
        touched = []
        for table in (self.offers, self.serves):
            for dialled in _of(table, old):
                key, _ = table[dialled]
                table[dialled] = (key, LegId(new))
                touched.append(key)
        for key in touched:
            self._refresh(key)
        return touched

    def log_in(self, agent: str, device: DeviceId | None) -> list[Key]:
        """An agent of the pool uses this phone from now on, or (none) is logged off; returns her members."""
        state_interface = f"{AGENT_POOL}{agent}"
        if device is not None:
            self.pool[state_interface] = device
            if len(self.pool) > _REMEMBERED:
                del self.pool[next(iter(self.pool))]
        else:
            self.pool.pop(state_interface, None)
        usual = device_of_interface(state_interface)
        touched = [
            key for key, name in self._states.items() if name == state_interface and key in self.by_key
        ]
        for key in touched:
            self.by_key[key] = replace(self.by_key[key], device=device or usual)
        return touched

    def sweep(self, channels: Container[str], at: Instant) -> None:
        """Forget what was told of channels but these, which are all there are, and of who is no member.

        An event of a channel that was gone already, or was never told, is ended by no other one.
        """
        for dialled in [dialled for dialled in self.offers if dialled not in channels]:
            self.offer_over(dialled)
        for dialled in [dialled for dialled in self.serves if dialled not in channels]:
            self.serve_over(dialled, at)
        for channel in [channel for channel in self._picked_up if channel not in channels]:
            self.forget(channel)
        self._states = {key: name for key, name in self._states.items() if key in self.by_key}
        self._last = {key: caller for key, caller in self._last.items() if key in self.by_key}

    def remove(self, key: Key) -> None:
        """The member left the queue; what she is in goes on."""
        self.by_key.pop(key, None)
        self._states.pop(key, None)

    def serve_over(self, dialled: str, at: Instant) -> Key | None:
        """The member is done with the caller; returns who it was, once."""
        key, _ = self.serves.pop(dialled, _NOBODY)
        if key is not None:
            goes_on = any(other == key for other, _ in self.serves.values())
            self._refresh(key, in_call=goes_on, last_call_at=at)
        return key

    def over_for(self, caller: str, at: Instant) -> list[Key]:
        """The caller's channel is gone; returns the members who were offered or served it."""
        served = [self.serve_over(dialled, at) for dialled in _of(self.serves, caller)]
        offered = [self.offer_over(dialled) for dialled in _of(self.offers, caller)]
        return [key for key in dict.fromkeys(served + offered) if key is not None]

    def left_by(self, device: DeviceId, at: Instant) -> list[Key]:
        """A member's phone is in no call any more; returns whose calls that ended."""
        served = [dialled for dialled, (key, _) in self.serves.items() if self._device(key) == device]
        return [key for key in [self.serve_over(dialled, at) for dialled in served] if key is not None]

    def _device(self, key: Key) -> DeviceId | None:
        member = self.by_key.get(key)
        return member.device if member is not None else None

    def _refresh(self, key: Key, **changed: object) -> None:
        """Tell of a member the newest offer and the newest call of those there are."""
        member = self.by_key.get(key)
        if member is not None:
            offered = [caller for other, caller in self.offers.values() if other == key]
            serving = [caller for other, caller in self.serves.values() if other == key]
            self.by_key[key] = replace(
                member,
                offered=offered[-1] if offered else None,
                serving=serving[-1] if serving else None,
                **changed,
            )


_NOBODY: tuple[None, None] = (None, None)


def _of(table: dict[str, Engagement], caller: str) -> list[str]:
    return [dialled for dialled, (_, leg) in table.items() if leg == caller]


def _instant(epoch: str) -> Instant | None:
    seconds = number(epoch or "0")
    return instant(seconds) if seconds > 0.0 else None

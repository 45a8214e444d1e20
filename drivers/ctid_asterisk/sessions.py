"""Supervision sessions as Asterisk holds them: the names of their parts, and what those tell. Pure.

A session survives a restart of ctid because everything about it is on the PBX: its record in a variable
of the supervisor's channel, who hears whom in the id of the snoop channel that shares her bridge.
"""

import base64
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ctid.model.entities import Supervision
from ctid.model.ids import LegId, SupervisionId
from ctid.model.instant import Instant, dec_hook, enc_hook
from ctid.model.words import Hear, Mode, SupervisionState
from ctid_asterisk.channels import session_of
from ctid_asterisk.fields import OURS

VARIABLE = "CTID_SESSION"
JOIN = "CTID_JOIN"
"""The channel, by its full name, that the contexts of take-over and hand-back join theirs with."""
BACK = "CTID_AGENT_BACK"
"""Whom the take-over context rings if she cannot be joined with."""
QUEUE_BACK = "CTID_QUEUE_BACK"
"""The queue in which the customer waits again if that is in vain."""

WHISPER = {Mode.LISTEN: "none", Mode.WHISPER: "out", Mode.BARGE: "both"}
"""Snoop's `whisper` of each mode: `out` is what goes to the spied channel, `in` what comes from it."""
SPY = {Hear.BOTH: "both", Hear.AGENT: "in", Hear.CUSTOMER: "out"}
"""Snoop's `spy`, of an agent's channel: `in` is what comes from it."""

_NO_WORD = re.compile(r"[^A-Za-z0-9_]")
_serial = itertools.count(1)


class Stance(Struct, frozen=True):
    """Who hears the supervisor, and whom she hears."""

    mode: Mode = Mode.LISTEN
    hear: Hear = Hear.BOTH
    muted: bool = False

    @property
    def silent(self) -> bool:
        """Whether nothing of what she says is to pass."""
        return self.muted or self.mode is Mode.LISTEN


def stance_of(session: Supervision) -> Stance:
    """How a session is to be, by its record."""
    return Stance(session.mode, session.hear, session.muted)


class Record(Struct, frozen=True, kw_only=True):
    """What is kept on the PBX of a session. `target`: the agent's leg; none while that is being changed."""

    supervision: Supervision
    target: LegId | None = None


class Names:
    """The ids of a session's parts. They bear the application's name: another ctid's are not ours.

    The id of a channel ends like one of Asterisk's own, in seconds and a serial number, because Asterisk
    gives a call the oldest of its channels' linked ids by those (Asterisk, channel.c, `oldest_linkedid`).
    """

    def __init__(self, app: str, session: SupervisionId) -> None:
        self.bridge = f"{prefix(app)}{session}"
        self.tone = f"{self.bridge}-tone"
        """The playback that tells her, while she waits, that the line is there."""

    def phone(self, now: float) -> str:
        """A new id for the supervisor's channel."""
        return f"{self.bridge}-phone-{_birth(now)}"

    def snoop(self, stance: Stance, now: float) -> str:
        """A new id for a snoop channel of this mode, that hears this side."""
        return f"{self.bridge}-{stance.mode}_{stance.hear}-{_birth(now)}"


def notice_id(app: str, now: float) -> str:
    """A new id for the channel that sounds a notice to an agent."""
    return f"{prefix(app)}notice-tone-{_birth(now)}"


def back_id(session: SupervisionId, now: float) -> str:
    """A new id for the channel of an agent to whom a customer is handed back: hers, not one of ours."""
    return f"back-{session}-{_birth(now)}"


def _birth(now: float) -> str:
    return f"{now:.0f}.{next(_serial)}"


def prefix(app: str) -> str:
    """How the ids begin that belong to a Stasis application."""
    return f"{OURS}{_NO_WORD.sub('_', app)}."


def part_of(unique: str) -> str | None:
    """Which part of its session a channel is: `phone`, `listen_both` and the like, or none when not ours."""
    pieces = unique.split("-", 3)
    return pieces[2] if unique.startswith(OURS) and len(pieces) == 4 else None


def snooping(unique: str) -> Stance | None:
    """Who hears whom by a snoop channel; none when it is no such channel of ours."""
    mode, _, hear = (part_of(unique) or "").partition("_")
    if mode not in WHISPER or hear not in SPY:
        return None
    return Stance(Mode(mode), Hear(hear))


def pack(record: Record) -> str:
    """Write a record as the value of a channel variable."""
    return base64.urlsafe_b64encode(msgspec.json.encode(record, enc_hook=enc_hook)).decode()


def unpack(value: str) -> Record:
    """Read a record. Raises ValueError: it is none of ours."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(value), type=Record, dec_hook=dec_hook)
    except (ValueError, msgspec.MsgspecError) as error:
        raise ValueError(f"not a session's record: {error}") from error


class Found(Struct, kw_only=True):
    """A session found on the PBX, whole: its supervisor hears, waits, or has taken over."""

    record: Record
    phone: str
    snoop: str | None = None
    customer: str | None = None


class Remains(Struct, kw_only=True):
    """What a snapshot of channels and bridges holds of ours."""

    sessions: list[Found]
    stray_channels: list[str]
    """Of a session that was not yet, or is no longer, whole: to be hung up."""
    stray_bridges: list[str]


def find(
    channels: Iterable[Mapping[str, Any]],
    bridges: Iterable[Mapping[str, Any]],
    variable_of: Callable[[str], str],
    app: str,
    now: Instant,
) -> Remains:
    """Sort what ARI lists into whole sessions and what is left over.

    `variable_of` gives the record's variable of a supervisor's channel. What another application's ids
    name is left alone.
    """
    mine = prefix(app)
    states = {str(c["id"]): str(c["state"]) for c in channels if str(c["id"]).startswith(mine)}
    inside = {str(bridge["id"]): [str(c) for c in bridge["channels"]] for bridge in bridges}
    remains = Remains(sessions=[], stray_channels=[], stray_bridges=[])
    kept: set[str] = set()
    for phone, state in states.items():
        if part_of(phone) != "phone" or state != "Up":
            continue
        bridge = next((ident for ident, members in inside.items() if phone in members), None)
        found = _whole(phone, bridge, inside.get(bridge or "", ()), variable_of(phone), now)
        if found is not None:
            remains.sessions.append(found)
            kept.update((phone, Names(app, session_of(phone)).bridge, found.snoop or ""))
    remains.stray_channels = [unique for unique in states if part_of(unique) and unique not in kept]
    remains.stray_bridges = [bridge for bridge in inside if bridge.startswith(mine) and bridge not in kept]
    return remains


def _whole(
    phone: str, bridge: str | None, members: Collection[str], variable: str, now: Instant
) -> Found | None:
    """The session of a supervisor's channel that is up, in a bridge or in none.

    In her own bridge she has a snoop channel, or waits, also if the agent left while nobody looked, or if she
    was on her way to another agent; in another one she has taken the customer over; in none she had answered
    a moment before, and was not in yet.
    """
    try:
        record = unpack(variable)
    except ValueError:
        return None  # written by another release of ctid, or not by ctid: it cannot be told who listens
    kept = record.supervision
    stance = stance_of(kept)
    state = SupervisionState.ACTIVE
    snoop = customer = None
    if bridge is None:
        return None
    if bridge.startswith(OURS):
        snoop = next((c for c in members if snooping(c) is not None), None)
        heard = snooping(snoop or "")
        if heard is None or record.target is None:
            state, snoop = SupervisionState.WAITING, None
        else:
            stance = replace(heard, muted=stance.muted)
    else:
        customer = next((c for c in members if part_of(c) is None), None)
        if customer is None:
            return None
        stance = Stance(Mode.TAKEOVER)
    same = (kept.state, kept.mode) == (state, stance.mode)
    supervision = replace(
        kept,
        state=state,
        mode=stance.mode,
        hear=stance.hear,
        muted=stance.muted,
        since=kept.since if same else now,
    )
    return Found(record=replace(record, supervision=supervision), phone=phone, snoop=snoop, customer=customer)

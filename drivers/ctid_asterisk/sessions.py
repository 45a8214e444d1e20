"""Supervision sessions as Asterisk holds them: the names of their parts, and what those tell. Pure.

A session survives a restart of ctid because everything about it is on the PBX: its record in a variable
of the supervisor's channel, its mode in the id of the snoop channel that shares her bridge.
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
from ctid.model.words import Mode, SupervisionState
from ctid_asterisk.channels import session_of
from ctid_asterisk.fields import OURS

VARIABLE = "CTID_SESSION"
BACK = "CTID_AGENT_BACK"
"""Whom the take-over context rings if the take-over fails."""
QUEUE_BACK = "CTID_QUEUE_BACK"
"""The queue in which the customer waits again if that is in vain."""

WHISPER = {Mode.LISTEN: "none", Mode.WHISPER: "out", Mode.BARGE: "both"}
"""Snoop's `whisper` of each mode: `out` is what goes to the spied channel, `in` what comes from it."""

_NO_WORD = re.compile(r"[^A-Za-z0-9_]")
_serial = itertools.count(1)


class Record(Struct, frozen=True, kw_only=True):
    """What is kept on the PBX of a session."""

    supervision: Supervision
    target: LegId
    keys: Mapping[str, Mode] = {}


class Names:
    """The ids of a session's parts. They bear the application's name: another ctid's are not ours.

    The id of a channel ends like one of Asterisk's own, in seconds and a serial number, because Asterisk
    gives a call the oldest of its channels' linked ids by those (Asterisk, channel.c, `oldest_linkedid`).
    """

    def __init__(self, app: str, session: SupervisionId) -> None:
        self.bridge = f"{prefix(app)}{session}"

    def phone(self, now: float) -> str:
        """A new id for the supervisor's channel."""
        return f"{self.bridge}-phone-{now:.0f}.{next(_serial)}"

    def snoop(self, mode: Mode, now: float) -> str:
        """A new id for a snoop channel of this mode."""
        return f"{self.bridge}-{mode}-{now:.0f}.{next(_serial)}"


def prefix(app: str) -> str:
    """How the ids begin that belong to a Stasis application."""
    return f"{OURS}{_NO_WORD.sub('_', app)}."


def part_of(unique: str) -> str | None:
    """Which part of its session a channel is: `phone`, a mode, or none when it is not ours."""
    pieces = unique.split("-", 3)
    return pieces[2] if unique.startswith(OURS) and len(pieces) == 4 else None


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
    """A session found on the PBX, whole: its supervisor talks, listens, or has taken over."""

    record: Record
    phone: str
    snoop: str | None
    customer: str | None


class Remains(Struct, kw_only=True):
    """What a snapshot of channels and bridges holds of ours."""

    sessions: list[Found]
    stray_channels: list[str]
    """Of a session that was not yet, or is no longer, whole: to be hung up."""
    stray_customers: list[str]
    """In a bridge of such a session: to be given back."""
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
    inside = {
        str(bridge["id"]): [str(c) for c in bridge["channels"]]
        for bridge in bridges
        if str(bridge["id"]).startswith(mine)
    }
    remains = Remains(sessions=[], stray_channels=[], stray_customers=[], stray_bridges=[])
    kept: set[str] = set()
    for phone, state in states.items():
        if part_of(phone) != "phone" or state != "Up":
            continue
        names = Names(app, session_of(phone))
        found = _whole(phone, inside.get(names.bridge, ()), variable_of(phone), now)
        if found is not None:
            remains.sessions.append(found)
            kept.update((phone, names.bridge, found.snoop or "", found.customer or ""))
    remains.stray_channels = [unique for unique in states if part_of(unique) and unique not in kept]
    for bridge, members in inside.items():
        if bridge not in kept:
            remains.stray_bridges.append(bridge)
            remains.stray_customers += [member for member in members if part_of(member) is None]
    return remains


def stranded(
    channels: Iterable[Mapping[str, Any]], bridges: Iterable[Mapping[str, Any]], app: str
) -> list[str]:
    """Customers whom a take-over moved into the application `app`, and whom nobody joined.

    The application is not left when its client goes away (Asterisk, res_stasis.c): they would wait for ever.
    """
    inside = {str(channel) for bridge in bridges for channel in bridge["channels"]}
    return [
        str(channel["id"])
        for channel in channels
        if channel["dialplan"]["app_name"] == "Stasis"
        and str(channel["dialplan"]["app_data"]).startswith(f"{app},takeover,")
        and str(channel["id"]) not in inside
    ]


def _whole(phone: str, members: Collection[str], variable: str, now: Instant) -> Found | None:
    snoop = next((c for c in members if part_of(c) in WHISPER), None)
    customer = next((c for c in members if part_of(c) is None), None)
    if phone not in members or (snoop is None and customer is None):
        return None
    try:
        record = unpack(variable)
    except ValueError:
        return None  # written by another release of ctid, or not by ctid: it cannot be told who listens
    mode = Mode.TAKEOVER if customer is not None else Mode(part_of(snoop or "") or "")
    kept = record.supervision
    supervision = replace(
        kept, state=SupervisionState.ACTIVE, mode=mode, since=kept.since if mode is kept.mode else now
    )
    return Found(record=replace(record, supervision=supervision), phone=phone, snoop=snoop, customer=customer)

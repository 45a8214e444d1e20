"""Sessions that ChanSpy carries, as Asterisk holds them: options, keys, what is found after a restart. Pure.

A session survives a restart of ctid because its record is in variables of the supervisor's channel. Which
mode ChanSpy is in, Asterisk does not tell: whoever takes a session up has to set it anew.

Source: Asterisk 16 and 22, apps/app_chanspy.c and apps/app_senddtmf.c.
"""

import base64
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ctid.model.instant import Instant, dec_hook, enc_hook
from ctid.model.words import Hear, Mode, SupervisionState
from ctid_asterisk.sessions import VARIABLE, Record, Stance, part_of, prefix, stance_of

KEYS = {Mode.LISTEN: "4", Mode.WHISPER: "5", Mode.BARGE: "6"}
"""What ChanSpy takes each mode by, where it was started to obey keys."""
NEXT = "*"
"""The key by which ChanSpy ends: it would look for another channel."""
HARMLESS = "D"
"""A key that ChanSpy does not know."""
TARGET = "CTID_TARGET"
OPTIONS = "CTID_SPY"
NOTICE = "CTID_NOTICE"
"""Whether the notice has been played, as Playback says."""
PLAYED = "SUCCESS"

VARIABLES = tuple(f"{VARIABLE}{number}" for number in ("", "_2", "_3", "_4"))
"""Where the pieces of a record are."""
_PIECE = 800
"""Asterisk reads lines of 1023 characters (manager.c, `inbuf`)."""

_STARTED = {Mode.LISTEN: "", Mode.WHISPER: "w", Mode.BARGE: "B"}
_VERSION = re.compile(r"(?:certified[/-])?(\d+)\.(\d+)")
_KEYS_SINCE = {13: 30, 16: 7, 17: 1}


def receives_keys(version: str) -> bool:
    """Whether this Asterisk's PlayDTMF can stand for a key of hers; an older one plays the key to her."""
    found = _VERSION.match(version)
    if found is None:
        return False
    major, minor = int(found[1]), int(found[2])
    return major >= 18 or minor >= _KEYS_SINCE.get(major, minor + 1)


def options(stance: Stance, *, live: bool) -> str:
    """ChanSpy's options of a stance. With `live` it obeys keys, her own as well; without, none but `NEXT`.

    Always: quiet, the exact channel (`u`), and its end is ChanSpy's (`E`).
    """
    return f"quE{'d' if live else ''}{_STARTED[stance.mode]}{'o' if stance.hear is Hear.AGENT else ''}"


def is_live(options: str) -> bool:
    """Whether ChanSpy that was started with these obeys keys."""
    return "d" in options


def hears_agent_alone(options: str) -> bool:
    """Whether ChanSpy that was started with these lets her hear one side only."""
    return "o" in options


class KeyWatch:
    """Which of the keys that her channel tells of are hers, and which are those that ctid sent."""

    def __init__(self) -> None:
        self._sent: list[str] = []
        self._begun: list[str] = []

    @property
    def waiting(self) -> bool:
        """A key that ctid sent has not been told of yet."""
        return bool(self._sent)

    @property
    def held(self) -> bool:
        """She holds a key down."""
        return bool(self._begun)

    def send(self, key: str) -> None:
        """A key is about to be sent."""
        self._sent.append(key)

    def forget(self) -> None:
        """What was sent and not told of will not be."""
        self._sent.clear()

    def begin(self, key: str) -> None:
        """She holds a key down: what ctid sends has no beginning."""
        self._begun.append(key)

    def end(self, key: str) -> bool:
        """A key's end is told; whether it is hers. Some phones tell of no beginning (SIP INFO)."""
        if key in self._begun:
            self._begun.remove(key)
            return True
        if key in self._sent:
            self._sent.remove(key)
            return False
        return True


def pack(record: Record) -> dict[str, str]:
    """Write a record as the values of `VARIABLES`, the last of them empty when it is short.

    Raises ValueError: it is longer than any can be.
    """
    text = base64.urlsafe_b64encode(zlib.compress(msgspec.json.encode(record, enc_hook=enc_hook))).decode()
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    if len(pieces) > len(VARIABLES):
        raise ValueError(f"a session's record of {len(text)} characters")
    return dict(zip(VARIABLES, pieces + [""] * (len(VARIABLES) - len(pieces)), strict=True))


def unpack(pieces: Sequence[str]) -> Record:
    """Read a record from the values of `VARIABLES`. Raises ValueError: it is none of ours."""
    try:
        text = zlib.decompress(base64.urlsafe_b64decode("".join(pieces)))
        return msgspec.json.decode(text, type=Record, dec_hook=dec_hook)
    except (ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"not a session's record: {error}") from error


class FoundSpy(Struct, kw_only=True):
    """A session found on the PBX: its supervisor has the record's stance, waits, or has taken over."""

    record: Record
    phone: str
    customer: str | None = None


class SpyRemains(Struct, kw_only=True):
    """What a list of channels holds of ours."""

    sessions: list[FoundSpy]
    stray_channels: list[str]
    """Of a session that was not yet, or is no longer, whole: to be hung up."""


def find(
    channels: Iterable[Mapping[str, str]], pieces_of: Callable[[str], Sequence[str]], app: str, now: Instant
) -> SpyRemains:
    """Sort the items of CoreShowChannels (with keys in lower case) into sessions and what is left over.

    `pieces_of` gives the values of a supervisor's channel. What another ctid's ids name is left alone.
    """
    listed = {fields["uniqueid"]: fields for fields in channels}
    remains = SpyRemains(sessions=[], stray_channels=[])
    for unique, fields in listed.items():
        if not unique.startswith(prefix(app)):
            continue
        found = None
        if part_of(unique) == "phone" and fields["channelstate"] == "6":
            found = _whole(unique, listed, pieces_of(unique), now)
        if found is None:
            remains.stray_channels.append(unique)
        else:
            remains.sessions.append(found)
    return remains


def _whole(
    phone: str, listed: Mapping[str, Mapping[str, str]], pieces: Sequence[str], now: Instant
) -> FoundSpy | None:
    try:
        record = unpack(pieces)
    except ValueError:
        return None  # written by another release of ctid, or not by ctid: it cannot be told who listens
    kept = record.supervision
    if kept.state is SupervisionState.RINGING:
        return None  # she answered a moment ago, and nobody waits for her any more
    bridge = listed[phone].get("bridgeid", "")
    customer = next(
        (
            unique
            for unique, fields in listed.items()
            if bridge and unique != phone and fields.get("bridgeid") == bridge
        ),
        None,
    )
    stance = stance_of(kept)
    state = SupervisionState.ACTIVE
    if customer is not None:
        stance = Stance(Mode.TAKEOVER)
    elif kept.mode is Mode.TAKEOVER:
        return None  # the customer has gone meanwhile, and with him the session
    elif kept.state is SupervisionState.WAITING or str(record.target) not in listed:
        state = SupervisionState.WAITING
    same = (kept.state, kept.mode) == (state, stance.mode)
    supervision = replace(
        kept,
        state=state,
        mode=stance.mode,
        hear=stance.hear,
        muted=stance.muted,
        since=kept.since if same else now,
    )
    return FoundSpy(record=replace(record, supervision=supervision), phone=phone, customer=customer)

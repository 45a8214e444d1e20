"""Events of what protects a call and of what keeps its audio: its flags, and MixMonitor. Pure.

A flag is a variable of a channel (Asterisk's own `Set`, the AMI's Setvar), so that it lives as long as the
call's legs do, whatever becomes of ctid. What is told of a Local half is of the party it stands for.
Source: Asterisk 16 to 23, apps/app_mixmonitor.c; the events are there since 16.17 and 18.3.
"""

from collections.abc import Callable, Iterable

from ctid.model.instant import Instant
from ctid.model.words import CallFlag
from ctid_asterisk.channel import Channel
from ctid_asterisk.told import Fields, Handler, Told

FLAGS = {"CTID_PRIVATE": CallFlag.PRIVATE, "CTID_OBJECTED": CallFlag.OBJECTED}
"""The variables of a channel that are flags of its call."""
RECORDING = "CTID_RECORDING"
"""The variable by which ctid keeps with a channel what it last did to its recording: on, paused or off."""
FILE = "MIXMONITOR_FILENAME"
"""The variable that Asterisk sets where a recording begins, and never takes back."""

KEPT = (*FLAGS, RECORDING, FILE)
"""What a list is to tell of each channel, because no event will tell it again."""

_UNSET = frozenset({"", "0", "(null)"})


class ActEvents:
    """The handlers of these events."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.handlers: dict[str, Handler] = {
            "VarSet": self._variable,
            "MixMonitorStart": self._started,
            "MixMonitorStop": self._stopped,
            "MixMonitorMute": self._muted,
        }

    def _variable(self, fields: Fields, at: Instant) -> None:
        flag = FLAGS.get(fields["variable"])
        # A flag is never taken back.
        if flag is not None and fields.get("value", "") not in _UNSET:
            self._change(fields, at, lambda channel: set_flag(channel, flag))
        elif fields["variable"] == RECORDING:
            self._change(fields, at, lambda channel: _set_recording(channel, fields.get("value", "")))

    def _started(self, fields: Fields, at: Instant) -> None:
        self._change(fields, at, _start)

    def _stopped(self, fields: Fields, at: Instant) -> None:
        self._change(fields, at, _stop)

    def _muted(self, fields: Fields, at: Instant) -> None:
        muted = fields["state"] == "1"
        # One side alone still keeps what the other says.
        if not muted or fields.get("direction", "").lower() == "both":
            self._change(fields, at, lambda channel: _silence(channel, silenced=muted))

    def _change(self, fields: Fields, at: Instant, change: Callable[[Channel], None]) -> None:
        told = self._told
        unique = fields.get("uniqueid", "")
        near = told.channels.by_id.get(unique)
        if near is not None:
            channel = told.channels.by_id.get(told.channels.party_behind(unique), near)
            change(channel)
            told.tell_legs((channel.unique,), at)


def set_flag(channel: Channel, flag: CallFlag) -> None:
    """Keep a flag of its call with a channel, unless it is one that outlives its calls."""
    if channel.standing:
        return
    if flag is CallFlag.PRIVATE:
        channel.private = True
    else:
        channel.objected = True


def has_flag(channel: Channel, flag: CallFlag) -> bool:
    """Whether a channel has a flag."""
    return channel.private if flag is CallFlag.PRIVATE else channel.objected


def _start(channel: Channel) -> None:
    channel.recordings += 1
    channel.silenced = False


def _stop(channel: Channel) -> None:
    channel.recordings = max(channel.recordings - 1, 0)


def _silence(channel: Channel, *, silenced: bool) -> None:
    channel.silenced = silenced


def _set_recording(channel: Channel, state: str) -> None:
    """What ctid did last; older versions of Asterisk tell of it by this alone."""
    channel.recordings = max(channel.recordings, 1) if state in ("on", "paused") else 0
    channel.silenced = state == "paused"


def load_kept(channel: Channel, variables: Iterable[str]) -> None:
    """Take what a list tells of a channel's variables (`NAME=value`).

    Where a recording began without ctid, it is taken to go on: nothing tells that it was stopped.
    """
    values = {name: value for name, _, value in (text.partition("=") for text in variables)}
    for name, flag in FLAGS.items():
        if values.get(name, "") not in _UNSET:
            set_flag(channel, flag)
    state = values.get(RECORDING, "")
    if state in _UNSET and values.get(FILE, "") not in _UNSET:
        state = "on"
    _set_recording(channel, state)

"""Listening that ctid did not start: ChanSpy, and Snoop channels of other programs. Pure."""

from ctid.model.facts import MonitoringSeen
from ctid.model.instant import Instant
from ctid_asterisk.fields import OURS, device_of_channel
from ctid_asterisk.told import Fields, Handler, Told

SNOOP = "Snoop/"
"""A Snoop channel is named after the unique id of the channel it is at (Asterisk, res_stasis_snoop.c)."""


class MonitoringEvents:
    """The handlers of these events. Whose unique id is not one that ctid gave, ctid did not start."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.handlers: dict[str, Handler] = {"ChanSpyStart": self._spied}

    def newchannel(self, fields: Fields, at: Instant) -> None:
        """Read a new channel: it may be a Snoop channel, of another program at our PBX."""
        name, unique = fields["channel"], fields["uniqueid"]
        if name.startswith(SNOOP) and not unique.startswith(OURS):
            self._seen(name.removeprefix(SNOOP).rpartition("-")[0], "", "snoop", at)

    def _spied(self, fields: Fields, at: Instant) -> None:
        """Somebody's ChanSpy is at a channel; one that goes from channel to channel is told of each."""
        spyer, target = fields["spyeruniqueid"], fields["spyeeuniqueid"]
        if not spyer.startswith(OURS):
            self._seen(target, self._who(spyer, fields["spyerchannel"]), "spy", at)

    def _who(self, spyer: str, name: str) -> str:
        channels = self._told.channels
        channel = channels.by_id.get(channels.party_behind(spyer))
        if channel is None:
            return device_of_channel(name) or ""
        return channel.device or channel.number

    def _seen(self, target: str, by: str, how: str, at: Instant) -> None:
        told = self._told
        told.facts.append(MonitoringSeen(pbx=told.pbx, at=at, leg=told.leg_of(target), by=by, how=how))

"""Events of channels and bridges. Pure."""

from collections.abc import Callable

from ctid.model.facts import LegEnded, QualityMeasured
from ctid.model.ids import LegId
from ctid.model.instant import Instant
from ctid_asterisk.channel import Channel
from ctid_asterisk.fields import natural
from ctid_asterisk.members import Key
from ctid_asterisk.rtcp import Reports
from ctid_asterisk.told import Fields, Handler, Told

HOLDING = "holding_bridge"
"""The technology of a bridge whose channels do not hear each other: a parking lot, where agents wait."""

BASIC = "basic"
"""The type of a bridge that makes one call of the calls of its channels; others are rooms and ARI's."""


class ChannelEvents:
    """The handlers of channel events.

    `goes_on` is told of each channel that does something new, `newchannel` gets the event of each new one.
    """

    def __init__(self, told: Told, goes_on: Callable[[str], None], newchannel: Handler) -> None:
        self._told = told
        self._goes_on = goes_on
        self._is_new = newchannel
        self.handlers: dict[str, Handler] = {
            "Newchannel": self._newchannel,
            "Newstate": self._seen,
            "NewCallerid": self._seen,
            "NewConnectedLine": self._seen,
            "Rename": self._rename,
            "Hold": self._hold,
            "Unhold": self._unhold,
            "Hangup": self._hangup,
            "BridgeEnter": self._bridge_enter,
            "BridgeLeave": self._bridge_leave,
            "BridgeMerge": self._bridge_merge,
            "LocalBridge": self._local_bridge,
            "LocalOptimizationBegin": self._optimization_begins,
            "LocalOptimizationEnd": self._optimization_ends,
            "DialBegin": self._dial_begin,
            "DialEnd": self._dial_end,
        }
        self.reports: dict[str, Handler] = {"RTCPSent": self._sent, "RTCPReceived": self._received}

    def _newchannel(self, fields: Fields, at: Instant) -> None:
        unique = fields["uniqueid"]
        channels = self._told.channels
        if unique not in channels.by_id:
            incoming = fields["channelstate"] == "4"
            channel = Channel(unique, fields["channel"], fields["linkedid"], at, incoming=incoming)
            if incoming:
                channel.dialled = fields.get("exten", "")
            channels.add(channel)
            self._is_new(fields, at)
        self._seen(fields, at)

    def _seen(self, fields: Fields, at: Instant) -> None:
        if self._told.refresh(fields, at) is not None:
            self._told.tell_legs((fields["uniqueid"],), at)

    def _rename(self, fields: Fields, at: Instant) -> None:
        channel = self._told.channels.by_id.get(fields["uniqueid"])
        if channel is not None:
            channel.rename(fields["newname"])
            self._told.tell_legs((channel.unique,), at)

    def _hold(self, fields: Fields, at: Instant) -> None:
        self._set_held(fields, at, held=True)

    def _unhold(self, fields: Fields, at: Instant) -> None:
        self._set_held(fields, at, held=False)

    def _set_held(self, fields: Fields, at: Instant, *, held: bool) -> None:
        channel = self._told.refresh(fields, at)
        if channel is not None:
            channel.held = held
            self._told.tell_legs((channel.unique,), at)

    def _hangup(self, fields: Fields, at: Instant) -> None:
        unique, told = fields["uniqueid"], self._told
        self._goes_on(unique)
        channel = told.channels.by_id.get(unique)
        if channel is not None:
            # What a half did for a party is over with it, and the party's leg may be told otherwise.
            touched = [*told.channels.around(unique), *told.channels.remove(unique)]
            if channel.told is not None:
                cause = natural(fields.get("cause", "")) or 0
                told.facts.append(LegEnded(pbx=told.pbx, at=at, leg=LegId(unique), cause=cause))
            told.tell_legs(touched, at)
        # Also of one that the lists, being ahead, did not have any more: the queue has told of it meanwhile.
        told.tell_members(
            [
                key
                for key in (
                    told.members.offer_over(unique),
                    told.members.serve_over(unique, at),
                    told.members.forget(unique),
                    *told.members.over_for(unique, at),
                    *(self._left_by_phone(channel, at) if channel is not None else ()),
                )
                if key is not None
            ],
            at,
        )

    def _left_by_phone(self, gone: Channel, at: Instant) -> list[Key]:
        """End what a member served through a Local channel, once the phone behind it has hung up.

        When she transfers the caller, the Local channel stays in the call, and the queue believes in her.
        """
        if gone.device is None or not gone.bridged:
            return []
        channels = self._told.channels.by_id.values()
        if any(other.device == gone.device and other.bridge for other in channels):
            return []
        return self._told.members.left_by(gone.device, at)

    # Bridges --------------------------------------------------------------------------------------

    def _bridge_enter(self, fields: Fields, at: Instant) -> None:
        told = self._told
        channel = told.refresh(fields, at)
        if channel is None:
            return
        self._goes_on(channel.unique)
        touched: list[str] = []
        swapped = fields.get("swapuniqueid")
        if swapped:
            aside = told.channels.by_id.get(swapped)
            touched += told.channels.leave(swapped)
            if aside is not None and not aside.party:
                told.members.swap(swapped, channel.unique, channel.device)
        if fields.get("bridgetechnology") == HOLDING:
            touched += told.channels.leave(channel.unique)
        else:
            told.channels.joins_call(channel, at)
            merges = fields.get("bridgetype", BASIC) == BASIC
            touched += told.channels.enter(
                channel.unique, fields["bridgeuniqueid"], merges=merges, linked=fields["linkedid"]
            )
        told.tell_legs(touched, at)

    def _bridge_leave(self, fields: Fields, at: Instant) -> None:
        channel = self._told.refresh(fields, at)
        if channel is None or channel.bridge != fields["bridgeuniqueid"]:
            return
        if channel.moving:
            channel.leaving = True
        else:
            self._told.tell_legs(self._told.channels.leave(channel.unique), at)

    def _bridge_merge(self, fields: Fields, at: Instant) -> None:
        """Their leaving of the one and entering of the other follow, and change nothing any more."""
        merged = self._told.channels.merge(fields["frombridgeuniqueid"], fields["tobridgeuniqueid"])
        self._told.tell_legs(merged, at)

    # Local channels -------------------------------------------------------------------------------

    def _local_bridge(self, fields: Fields, at: Instant) -> None:
        channels = self._told.channels
        one, two = fields["localoneuniqueid"], fields["localtwouniqueid"]
        if one in channels.by_id and two in channels.by_id:
            self._told.tell_legs(channels.pair(one, two), at)

    def _optimization_begins(self, fields: Fields, _: Instant) -> None:
        one, two = fields["localoneuniqueid"], fields["localtwouniqueid"]
        self._told.channels.begin_move(one, two, fields.get("sourceuniqueid", ""))

    def _optimization_ends(self, fields: Fields, at: Instant) -> None:
        """Asterisk says `Success: No` of the good ones too; where each channel is by now is what counts."""
        self._told.tell_legs(self._told.channels.end_move(fields["localoneuniqueid"]), at)

    # Dialling -------------------------------------------------------------------------------------

    def _dial_begin(self, fields: Fields, _: Instant) -> None:
        channel = self._told.channels.by_id.get(fields["destuniqueid"])
        if channel is not None:
            channel.for_caller = "uniqueid" in fields
            channel.for_whom = fields.get("uniqueid", "")

    def _dial_end(self, fields: Fields, at: Instant) -> None:
        """Whom it is forwarded to is dialled in a channel of its own."""
        if fields.get("dialstatus") != "ANSWER":
            key = self._told.members.offer_over(fields["destuniqueid"])
            if key is not None:
                self._told.tell_members((key,), at)

    # Quality --------------------------------------------------------------------------------------

    def _sent(self, fields: Fields, at: Instant) -> None:
        self._report(fields, at, received=False)

    def _received(self, fields: Fields, at: Instant) -> None:
        self._report(fields, at, received=True)

    def _report(self, fields: Fields, at: Instant, *, received: bool) -> None:
        told, unique = self._told, fields.get("uniqueid", "")  # some are of no channel any more
        channel = told.channels.by_id.get(unique)
        if channel is None or channel.told is None:
            return
        if channel.reports is None:
            channel.reports = Reports()
        quality = channel.reports.read(fields, received=received)
        if quality is not None:
            told.facts.append(QualityMeasured(pbx=told.pbx, at=at, leg=LegId(unique), quality=quality))

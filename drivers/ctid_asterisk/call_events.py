"""Events of calls that move: transfers, pickup, parking, rooms; and what the dialplan itself tells. Pure."""

from ctid.model.facts import CallParked, CallPickedUp, CallRetrieved, CallTransferred, HelpAsked
from ctid.model.ids import LegId
from ctid.model.instant import Instant
from ctid.model.words import TransferKind
from ctid_asterisk.channel import Channel
from ctid_asterisk.fields import caller, device_of_channel
from ctid_asterisk.told import Fields, Handler, Told

HELP = "CtidHelp"
"""The user event by which the dialplan tells that somebody asks for help (extensions.ctid.conf)."""
THREEWAY = "Threeway"
"""The DestType of a transfer that its transferer stays in: all three talk."""


class CallEvents:
    """The handlers of these events. `takeover_context` is where ctid's own transfers lead, which are none."""

    def __init__(self, told: Told, takeover_context: str) -> None:
        self._told = told
        self._takeover_context = takeover_context
        self.handlers: dict[str, Handler] = {
            "BlindTransfer": self._blind,
            "AttendedTransfer": self._attended,
            "Pickup": self._pickup,
            "ParkedCall": self._parked,
            "ParkedCallSwap": self._parked_in_place,
            "UnParkedCall": self._retrieved,
            "ParkedCallTimeOut": self._timed_out,
            "ParkedCallGiveUp": self._gave_up,
            "ConfbridgeJoin": self._room_joined,
            "ConfbridgeLeave": self._room_left,
            "UserEvent": self._user_event,
        }

    # Transfers ------------------------------------------------------------------------------------

    def _blind(self, fields: Fields, at: Instant) -> None:
        if fields["result"] != "Success" or fields["context"] == self._takeover_context:
            return
        self._transferred(fields["transfereruniqueid"], TransferKind.BLIND, fields["extension"], at)

    def _transferred(self, by: str, kind: TransferKind, to: str, at: Instant) -> None:
        told = self._told
        told.facts.append(CallTransferred(pbx=told.pbx, at=at, leg=told.leg_of(by), kind=kind, to=to))

    def _attended(self, fields: Fields, at: Instant) -> None:
        if fields["result"] != "Success":
            return
        told = self._told
        first, second = fields["origtransfereruniqueid"], fields["secondtransfereruniqueid"]
        if fields["desttype"] == THREEWAY:
            # She held to consult, and talks with both now; nothing else says that the hold is over.
            touched = []
            for channel in map(told.channels.by_id.get, (first, second)):
                if channel is not None:
                    channel.held = False
                    touched.append(channel.unique)
            told.tell_legs(touched, at)
            return
        self._transferred(first, TransferKind.ATTENDED, self._target(fields), at)
        if "transfereeuniqueid" in fields and "destapp" in fields:
            self._takes_place(second, fields["transfereeuniqueid"], at)

    def _target(self, fields: Fields) -> str:
        """The number that was consulted: that of the target's phone, else what the transferer dialled."""
        behind = self._told.channels.party_behind(fields.get("transfertargetuniqueid", ""))
        target = self._told.channels.by_id.get(behind)
        consulting = self._told.channels.by_id.get(fields["secondtransfereruniqueid"])
        if target is not None and target.device is not None and target.device.isdigit():
            return target.device
        number = caller(fields.get("transfertargetcalleridnum", "")) or self._dialled_by_keys(fields)
        if (
            number
            or consulting is None
            or fields["secondtransfereruniqueid"] == fields["origtransfereruniqueid"]
        ):
            return number
        return consulting.dialled

    def _dialled_by_keys(self, fields: Fields) -> str:
        """What was dialled by feature code and still rings: a Local channel of that name is in the call."""
        for bridge in (fields.get("destbridgeuniqueid", ""), fields.get("secondbridgeuniqueid", "")):
            for channel in self._told.channels.in_bridge(bridge):
                if not channel.party:
                    return channel.name.partition("/")[2].partition("@")[0]
        return ""

    def _takes_place(self, old: str, new: str, at: Instant) -> None:
        """The transferee goes on in the application that the transferer was in: waits there, or dials."""
        told = self._told
        before, after = told.channels.by_id.get(old), told.channels.by_id.get(new)
        if before is None or after is None:
            return
        ringing = [channel for channel in told.channels.by_id.values() if channel.for_whom == old]
        for channel in ringing:
            channel.for_whom = new
        merged = (new, old, *(channel.unique for channel in ringing))
        told.channels.unite(merged)
        told.tell_legs(merged, at)
        if before.position is not None:
            after.queue, after.position, after.queued_at = before.queue, before.position, before.queued_at
            before.queue = before.position = before.queued_at = None
            told.tell_legs((old,), at)
            told.tell_around(after, at)
        told.tell_members(told.members.becomes(old, told.leg_of(new)), at)

    # Pickup ---------------------------------------------------------------------------------------

    def _pickup(self, fields: Fields, at: Instant) -> None:
        told = self._told
        by, target = fields["uniqueid"], fields["targetuniqueid"]
        told.facts.append(CallPickedUp(pbx=told.pbx, at=at, leg=LegId(by), target=LegId(target)))
        rung = told.channels.by_id.get(target)
        if rung is not None:
            call = {other.unique for other in told.channels.by_id.values() if other.linked == rung.linked}
            told.tell_members(told.members.pick_up(rung.device, target, by, call), at)

    # Parking --------------------------------------------------------------------------------------

    def _parked(self, fields: Fields, at: Instant) -> None:
        told, place = self._told, fields["parkingspace"]
        self._put(told.channels.by_id.get(fields["parkeeuniqueid"]), place, at)
        leg = told.leg_of(fields["parkeeuniqueid"])
        told.facts.append(CallParked(pbx=told.pbx, at=at, leg=leg, place=place))

    def _put(self, channel: Channel | None, place: str, at: Instant) -> None:
        if channel is not None:
            channel.parked = place
            self._told.tell_around(channel, at)

    def _parked_in_place(self, fields: Fields, at: Instant) -> None:
        """Another channel stands where a Local half of the call was parked."""
        told, unique, place = self._told, fields["parkeeuniqueid"], fields["parkingspace"]
        for channel in list(told.channels.by_id.values()):
            if channel.parked == place and channel.unique != unique:
                self._put(channel, "", at)
        self._put(told.channels.by_id.get(unique), place, at)

    def _retrieved(self, fields: Fields, at: Instant) -> None:
        self._over(fields, "retriever", at)

    def _timed_out(self, fields: Fields, at: Instant) -> None:
        self._over(fields, "timeout", at)

    def _gave_up(self, fields: Fields, at: Instant) -> None:
        self._over(fields, "caller", at)

    def _over(self, fields: Fields, by: str, at: Instant) -> None:
        told, place = self._told, fields["parkingspace"]
        leg = told.leg_of(fields["parkeeuniqueid"])
        self._put(told.channels.by_id.get(fields["parkeeuniqueid"]), "", at)
        told.facts.append(CallRetrieved(pbx=told.pbx, at=at, leg=leg, place=place, by=by))

    # Rooms ----------------------------------------------------------------------------------------

    def _room_joined(self, fields: Fields, at: Instant) -> None:
        self._room(fields, fields["conference"], at)

    def _room_left(self, fields: Fields, at: Instant) -> None:
        self._room(fields, "", at)

    def _room(self, fields: Fields, name: str, at: Instant) -> None:
        channel = self._told.refresh(fields, at)
        if channel is not None:
            channel.conference = name
            self._told.tell_around(channel, at)

    # The dialplan ---------------------------------------------------------------------------------

    def _user_event(self, fields: Fields, at: Instant) -> None:
        """One of any other name is somebody else's; one that a program sent has no channel."""
        told = self._told
        if fields["userevent"] != HELP or "uniqueid" not in fields:
            return
        leg = told.leg_of(fields["uniqueid"])
        party = told.channels.by_id.get(leg)
        device = party.device if party is not None else device_of_channel(fields["channel"])
        told.facts.append(HelpAsked(pbx=told.pbx, at=at, leg=leg, device=device))

"""Events of queues, their callers and members. Pure."""

from ctid.model.facts import (
    CallerAnswered,
    CallerQueued,
    CallServed,
    MemberRemoved,
    OfferMissed,
)
from ctid.model.ids import LegId, QueueId, safe_id
from ctid.model.instant import Instant
from ctid.model.words import LegState
from ctid_asterisk.departures import VARIABLE, Departure, Departures
from ctid_asterisk.fields import agent_of_interface, device_of_channel, number, whole
from ctid_asterisk.members import Key
from ctid_asterisk.told import Fields, Handler, Told


class QueueEvents:
    """The handlers of queue events. Moments bear the caller's leg, not that of a half that waits for him."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.departures = Departures(told.pbx)
        self.handlers: dict[str, Handler] = {
            "QueueCallerJoin": self._join,
            "QueueCallerLeave": self._leave,
            "QueueCallerAbandon": self._abandon,
            "VarSet": self._status,
            "QueueMemberAdded": self._member,
            "QueueMemberStatus": self._member,
            "QueueMemberPause": self._member,
            "QueueMemberPenalty": self._member,
            "QueueMemberRinginuse": self._member,
            "QueueMemberRemoved": self._member_removed,
            "AgentCalled": self._called,
            "AgentConnect": self._connect,
            "AgentComplete": self._complete,
            "AgentRingNoAnswer": self._ring_no_answer,
            "AgentDump": self._dump,
            "AgentLogin": self._pool_login,
            "AgentLogoff": self._pool_logoff,
        }

    # Callers --------------------------------------------------------------------------------------

    def _join(self, fields: Fields, at: Instant) -> None:
        told = self._told
        self.goes_on(fields["uniqueid"])
        queue, position = QueueId(safe_id(fields["queue"])), whole(fields["position"])
        channel = told.refresh(fields, at)
        leg = told.leg_of(fields["uniqueid"])
        if channel is not None:
            channel.queue = queue
            channel.position = position
            channel.queued_at = at
            party = told.channels.by_id.get(leg)
            if party is not None and party.position is None:
                party.queue = queue  # that it was served by, also once the half is gone
            told.tell_around(channel, at)
        told.facts.append(CallerQueued(pbx=told.pbx, at=at, queue=queue, leg=leg, position=position))

    def _leave(self, fields: Fields, at: Instant) -> None:
        told = self._told
        unique, queue = fields["uniqueid"], QueueId(safe_id(fields["queue"]))
        channel = told.refresh(fields, at)
        leg = told.leg_of(unique)
        answered = any(
            self._is_up(dialled) for dialled, (_, caller) in told.members.offers.items() if caller == leg
        )
        since = channel.queued_at if channel is not None else None
        self.departures.add(
            unique,
            Departure(
                queue=queue,
                leg=leg,
                position=whole(fields["position"]),
                since=since,
                at=at,
                waited_s=None,
                left=True,
                answered=answered,
            ),
        )
        if channel is not None and channel.queue == queue:
            channel.position = None
            told.tell_around(channel, at)

    def _is_up(self, dialled: str) -> bool:
        channel = self._told.channels.by_id.get(dialled)
        return channel is not None and channel.state is LegState.CONNECTED

    def _abandon(self, fields: Fields, at: Instant) -> None:
        """Count the wait of one who was not answered; whether he hung up, what follows tells."""
        unique = fields["uniqueid"]
        self.departures.add(
            unique,
            Departure(
                queue=QueueId(safe_id(fields["queue"])),
                leg=self._told.leg_of(unique),
                position=whole(fields["position"]),
                since=None,
                at=at,
                waited_s=number(fields["holdtime"]),
                left=False,
                answered=False,
            ),
        )

    def _status(self, fields: Fields, _: Instant) -> None:
        if fields["variable"] == VARIABLE:
            moment = self.departures.explained(fields["uniqueid"], fields.get("value", ""))
            if moment is not None:
                self._told.facts.append(moment)

    def goes_on(self, unique: str) -> None:
        """The channel does something new: if it has left a queue, that was all there is to know of it."""
        moment = self.departures.settle(unique)
        if moment is not None:
            self._told.facts.append(moment)

    # Members --------------------------------------------------------------------------------------

    def _member(self, fields: Fields, at: Instant) -> None:
        key, member = self._told.members.read(fields)
        self._told.members.by_key[key] = member
        self._told.tell_members((key,), at)

    def _member_removed(self, fields: Fields, at: Instant) -> None:
        told, key = self._told, _key(fields)
        told.members.remove(key)
        told.told_members.pop(key, None)
        queue, agent = QueueId(safe_id(key[0])), agent_of_interface(key[1])
        told.facts.append(MemberRemoved(pbx=told.pbx, at=at, queue=queue, agent=agent))

    def _pool_login(self, fields: Fields, at: Instant) -> None:
        told, unique = self._told, fields["uniqueid"]
        told.tell_legs(told.channels.stand(unique, standing=True), at)
        told.tell_members(told.members.log_in(fields["agent"], device_of_channel(fields["channel"])), at)

    def _pool_logoff(self, fields: Fields, at: Instant) -> None:
        """She hangs up, as a rule. If she goes on in the dialplan, the next event tells of her leg."""
        told = self._told
        told.channels.stand(fields.get("uniqueid", ""), standing=False)
        told.tell_members(told.members.log_in(fields["agent"], None), at)

    # Offers and service ---------------------------------------------------------------------------

    def _called(self, fields: Fields, at: Instant) -> None:
        told = self._told
        key = told.members.offer(_key(fields), told.leg_of(fields["uniqueid"]), fields["destuniqueid"])
        told.tell_members((key,), at)

    def _connect(self, fields: Fields, at: Instant) -> None:
        told, key = self._told, _key(fields)
        leg = told.leg_of(fields["uniqueid"])
        self.departures.connected(fields["uniqueid"])
        told.members.connect(key, leg, fields["destuniqueid"])
        told.tell_members((key,), at)
        told.facts.append(
            CallerAnswered(
                pbx=told.pbx,
                at=at,
                queue=QueueId(safe_id(key[0])),
                agent=agent_of_interface(key[1]),
                leg=leg,
                hold_s=number(fields["holdtime"]),
                ring_s=number(fields["ringtime"]),
            )
        )

    def _complete(self, fields: Fields, at: Instant) -> None:
        """Tell the queue's figures; she is done with the caller when the dialled channel hangs up.

        After some transfers no channel is named: then it is the caller whom she was last connected with.
        """
        told, key = self._told, _key(fields)
        unique = fields.get("uniqueid")
        leg = told.leg_of(unique) if unique else told.members.last_caller(key) or LegId("")
        told.facts.append(
            CallServed(
                pbx=told.pbx,
                at=at,
                queue=QueueId(safe_id(key[0])),
                agent=agent_of_interface(key[1]),
                leg=leg,
                hold_s=number(fields["holdtime"]),
                talk_s=number(fields["talktime"]),
                by=fields["reason"],
            )
        )

    def _ring_no_answer(self, fields: Fields, at: Instant) -> None:
        told, key = self._told, _key(fields)
        told.facts.append(
            OfferMissed(
                pbx=told.pbx,
                at=at,
                queue=QueueId(safe_id(key[0])),
                agent=agent_of_interface(key[1]),
                leg=told.leg_of(fields["uniqueid"]),
                ring_s=number(fields["ringtime"]) / 1000,
            )
        )
        told.members.offer_over(fields["destuniqueid"])
        told.tell_members((key,), at)

    def _dump(self, fields: Fields, at: Instant) -> None:
        self._told.members.offer_over(fields["destuniqueid"])
        self._told.tell_members((_key(fields),), at)


def _key(fields: Fields) -> Key:
    return (fields["queue"], fields["interface"])

"""Acts on live calls, from a request to the state that shows what came of it."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from ctid.calls import plan
from ctid.calls.acts import SETTLE_S, Acts
from ctid.calls.index import Selection
from ctid.calls.policy import CallPolicy
from ctid.calls.recordings import Recordings
from ctid.calls.words import Act, CommandedCall, QueueTarget, RecordingAction, RecordingEntry
from ctid.hub import Hub
from ctid.model.capabilities import Capability
from ctid.model.commands import FlagCall, PauseRecording, StartRecording, StopRecording
from ctid.model.entities import Call
from ctid.model.errors import CallRefused, CtidError, Forbidden, NotFound, PbxRefused
from ctid.model.ids import CallId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.model.words import CallFlag, CallState, Recording
from ctid.ports import Clock

Step = Callable[[Call], Awaitable[CommandedCall]]

_FLAG_ACTS = {CallFlag.PRIVATE: Act.PRIVATE, CallFlag.OBJECTED: Act.OBJECTED}
_RECORDING_ACTS = {
    RecordingAction.START: Act.START_RECORDING,
    RecordingAction.STOP: Act.STOP_RECORDING,
    RecordingAction.PAUSE: Act.PAUSE_RECORDING,
    RecordingAction.RESUME: Act.RESUME_RECORDING,
}


class CallService:
    """Acts on calls. Each answers once the facts show it; the state is never edited here.

    Acts on one call are carried out one after the other.
    """

    def __init__(
        self, hub: Hub, acts: Acts, policy: CallPolicy, recordings: Recordings, clock: Clock
    ) -> None:
        self._hub = hub
        self._acts = acts
        self._policy = policy
        self._recordings = recordings
        self._clock = clock

    async def hang_up(self, user: User, ident: CallId, party: str | None) -> CommandedCall:
        """Hang up a call, or one party of it by the leg.

        Raises:
            NotFound: there is no such call.
            InvalidRequest: it has no such party.
            CtidError: the PBX refused, or cannot be reached.
        """

        async def step(call: Call) -> CommandedCall:
            command = plan.hang_up(call, party)
            await self._acts.execute(call.pbx, Capability.CALL_COMMANDS, command)
            gone = set(command.legs)
            return await self._settled(call, lambda now: not gone & {party.leg for party in now.parties})

        return await self._act(user, Act.HANG_UP, ident, step, party=party or "")

    async def transfer(self, user: User, ident: CallId, to: str | QueueTarget) -> CommandedCall:
        """Send the customer on, and release the agent; or send on who waits in a queue.

        Raises:
            NotFound: there is no such call, or queue.
            InvalidRequest: `to` is no number, or it is not known how the queue is entered.
            CallRefused: `not_possible`, `number_not_allowed`, `ended`.
            CtidError: the PBX refused, or cannot be reached.
        """

        async def step(call: Call) -> CommandedCall:
            number = plan.destination(to, self._policy, self._hub.store)
            command = plan.transfer(call, number, self._policy.context)
            await self._acts.execute(call.pbx, Capability.CALL_COMMANDS, command)
            return await self._settled(call, lambda now: plan.is_moved(call, now, command))

        queue = to.queue if isinstance(to, QueueTarget) else ""
        return await self._act(
            user, Act.TRANSFER, ident, step, to=to if isinstance(to, str) else "", queue=queue
        )

    async def prioritize(self, user: User, ident: CallId, position: int) -> CommandedCall:
        """Move a waiting call up to a position; one that is there, or before it, stays.

        Raises:
            NotFound: there is no such call.
            CallRefused: `not_waiting`.
            CtidError: the PBX cannot, refused, or cannot be reached.
        """

        async def step(call: Call) -> CommandedCall:
            command = plan.prioritize(call, position)
            await self._acts.execute(call.pbx, Capability.PRIORITIZE, command)

            def there(now: Call) -> bool:
                place = plan.place_of(now, self._hub.store)
                return place is None or place <= position

            return await self._settled(call, there)

        return await self._act(user, Act.PRIORITIZE, ident, step, position=str(position))

    # Recording ------------------------------------------------------------------------------------

    async def record(self, user: User, ident: CallId, action: RecordingAction, basis: str) -> CommandedCall:
        """Start, stop, pause or resume the recording of an agent's conversation.

        What is so already is a success. A start needs a `basis`, and is in the index before there is audio.

        Raises:
            NotFound: there is no such call.
            InvalidRequest: there is no basis.
            CallRefused: `private`, `objected`, `no_agent`, `not_recorded`, `not_possible`.
            CtidError: the index cannot be written, the PBX refused, or cannot be reached.
        """

        async def step(call: Call) -> CommandedCall:
            match action:
                case RecordingAction.START:
                    plan.check_basis(basis)
                    if call.recording is Recording.OFF:
                        await self._start(user, call, basis)
                    return await self._settled(call, lambda now: now.recording is not Recording.OFF)
                case RecordingAction.STOP:
                    # Whatever the state says: a recording that began unseen ends as well.
                    await self._acts.execute(
                        call.pbx, Capability.CALL_COMMANDS, StopRecording(legs=plan.legs_of(call))
                    )
                    return await self._settled(call, lambda now: now.recording is Recording.OFF)
            plan.check_recorded(call)
            wanted = Recording.PAUSED if action is RecordingAction.PAUSE else Recording.ON
            if call.recording is not wanted:
                command = PauseRecording(legs=plan.legs_of(call), paused=wanted is Recording.PAUSED)
                await self._acts.execute(call.pbx, Capability.RECORD, command)
            return await self._settled(call, lambda now: now.recording is wanted)

        return await self._act(user, _RECORDING_ACTS[action], ident, step, basis=basis)

    async def _start(self, user: User, call: Call, basis: str) -> None:
        party = plan.recorded_party(call)
        self._acts.require(call.pbx, Capability.RECORD)
        now = Instant(self._clock.now())
        recording = RecordingEntry(
            id=0,
            call=call.id,
            leg=party.leg,
            pbx=call.pbx,
            agent=party.agent,
            queue=call.queue,
            by=user.name,
            basis=basis,
            file=plan.file_name(call, now, self._policy),
            started_at=now,
        )
        row = await self._recordings.begin(recording)
        try:
            await self._hub.execute(call.pbx, StartRecording(leg=party.leg, file=recording.file))
        except (CallRefused, PbxRefused):
            await self._recordings.forget(row)  # nothing was begun; of a lost answer that is not known
            raise

    async def recordings(self, selection: Selection) -> list[RecordingEntry]:
        """Recordings that ctid had made, the newest first. Raises IndexUnavailable."""
        return await self._recordings.find(selection)

    # Protection -----------------------------------------------------------------------------------

    async def flag(self, user: User, ident: CallId, flag: CallFlag) -> CommandedCall:
        """Protect a call for good: it is not listened to or recorded from now on, and what is recorded stops.

        An agent may do so with her own calls alone.

        Raises:
            NotFound: there is no such call.
            Forbidden: she is no party of it.
            CtidError: the PBX refused, or cannot be reached; what of it could be done is done.
        """

        async def step(call: Call) -> CommandedCall:
            if user.role is UserRole.AGENT and not plan.is_of(call, user.agent):
                raise Forbidden(f"{user.name} is no party of the call {call.id}")
            self._acts.require(call.pbx, Capability.CALL_COMMANDS)
            legs = plan.legs_of(call)
            failures: list[CtidError] = []
            for command in (StopRecording(legs=legs), FlagCall(legs=legs, flag=flag)):
                try:
                    await self._hub.execute(call.pbx, command)
                except CtidError as error:
                    failures.append(error)
            if failures:
                raise failures[0]
            return await self._settled(
                call, lambda now: plan.has_flag(now, flag) and now.recording is Recording.OFF
            )

        return await self._act(user, _FLAG_ACTS[flag], ident, step)

    # ----------------------------------------------------------------------------------------------

    async def _act(
        self, user: User, act: Act, ident: CallId, step: Step, **particulars: str
    ) -> CommandedCall:
        async with self._acts.turn(ident):
            call = self._hub.store.calls.get(ident)
            agent = plan.agent_in(call) if call is not None else None
            done = self._acts.begun(
                user,
                act,
                pbx=call.pbx if call is not None else None,
                call=ident,
                agent=agent.agent if agent is not None else None,
                **particulars,
            )

            async def taken() -> CommandedCall:
                if call is None:
                    raise NotFound("call", ident)
                return await step(call)

            return await self._acts.take(done, taken())

    async def _settled(self, before: Call, holds: Callable[[Call], bool]) -> CommandedCall:
        """The call once something holds of it; of one that is over everything does."""

        def now() -> Call | None:
            return self._hub.store.calls.get(before.id)

        confirmed = await self._hub.until(lambda: (call := now()) is None or holds(call), SETTLE_S)
        call = now()
        if call is None:
            at = Instant(self._clock.now())
            call = replace(before, state=CallState.ENDED, since=at, ended_at=at, parties=(), supervisions=())
        return CommandedCall(call=call, unconfirmed=not confirmed)

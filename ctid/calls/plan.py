"""From a call as it is and what is asked for, to the command, or the reason why not. Pure."""

import re
from datetime import UTC, datetime

from ctid.calls.policy import CallPolicy
from ctid.calls.words import QueueTarget
from ctid.model.commands import FlagCall, HangUpLegs, PrioritizeCaller, StopRecording, TransferCall
from ctid.model.entities import Agent, Call, Device, Party
from ctid.model.errors import AgentRefused, CallRefused, InvalidRequest, NotFound
from ctid.model.ids import AgentId, LegId, QueueId
from ctid.model.instant import Instant
from ctid.model.protection import check_unprotected
from ctid.model.words import AgentState, CallFlag, CallState, DeviceState, PartyState, Recording, Role
from ctid.state.store import Store

NUMBER = re.compile(r"[0-9*#+]{1,32}")
"""What may be dialled: no name, no list, no path, and nothing that a dialplan would take apart."""
LONGEST_TEXT = 500
LONGEST_TEXT_BYTES = 750
"""Of a text in UTF-8, so that it fits into one line of any PBX's protocol."""
LONGEST_BASIS = 200

Kept = frozenset[tuple[CallFlag, LegId]]
"""Which flags are kept with which legs."""
NOTHING_KEPT: Kept = frozenset()

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_TALKING = (PartyState.CONNECTED, PartyState.HELD)
_FREE = frozenset({AgentState.READY, AgentState.NOT_READY, AgentState.WORKING_AFTER_CALL})


def check_number(number: str, policy: CallPolicy, store: Store, *, field: str) -> str:
    """Check a number that is to be dialled; returns it.

    Raises:
        InvalidRequest: it has other characters than digits, `*`, `#` and `+`, or too many of them.
        CallRefused: `number_not_allowed`.
    """
    if NUMBER.fullmatch(number) is None:
        raise InvalidRequest("a number is 1 to 32 of the characters 0-9 * # +", field=field)
    if number in store.agents or number in {queue_number(queue, policy) for queue in store.queues}:
        return number
    if not any(number.startswith(prefix) for prefix in policy.prefixes):
        allowed = ", ".join(policy.prefixes) or "none"
        raise CallRefused(
            "number_not_allowed",
            f"agents and queues may be dialled, and numbers that begin with: {allowed} "
            "(allowed_prefixes under [calls])",
        )
    return number


def queue_number(queue: QueueId, policy: CallPolicy) -> str:
    """The number that enters a queue: the configuration's, or its name; empty when that is no number."""
    number = policy.queue_numbers.get(queue, "") or queue
    return number if NUMBER.fullmatch(number) else ""


def destination(to: str | QueueTarget, policy: CallPolicy, store: Store) -> str:
    """The number that a call is to be sent to.

    Raises:
        InvalidRequest, CallRefused: as `check_number`; or it is not known how the queue is entered.
        NotFound: there is no such queue.
    """
    if isinstance(to, str):
        return check_number(to, policy, store, field="to")
    queue = QueueId(to.queue)
    if queue not in store.queues:
        raise NotFound("queue", to.queue)
    number = queue_number(queue, policy)
    if not number:
        raise InvalidRequest(
            f"it is not known which number enters {to.queue}: set `number` of its [[queue]]", field="to.queue"
        )
    return number


def agent_in(call: Call) -> Party | None:
    """The agent who talks in a call, if there is one."""
    for party in call.parties:
        if party.role is Role.AGENT and party.state in _TALKING:
            return party
    return None


def hang_up(call: Call, leg: str | None) -> HangUpLegs:
    """Plan the end of a call, or of one party in it. Our side first, so that the PBX counts it as ours.

    Raises:
        InvalidRequest: there is no such party.
    """
    if leg is not None:
        if not any(party.leg == leg for party in call.parties):
            known = ", ".join(party.leg for party in call.parties)
            raise InvalidRequest(f"the call's parties are: {known}", field="party")
        return HangUpLegs(legs=(LegId(leg),))
    # A supervisor's leg is her session's, which ends with the call.
    parties = [party for party in call.parties if party.role is not Role.SUPERVISOR]
    parties.sort(key=lambda party: party.role is Role.CUSTOMER)
    return HangUpLegs(legs=tuple([party.leg for party in parties]))


def transfer(call: Call, number: str, context: str) -> TransferCall:
    """Plan a transfer: the agent is released, and whom she talks with goes on; or who still waits does.

    Raises:
        CallRefused: `not_possible`: it is neither.
    """
    others = [party for party in call.parties if party.role is not Role.AGENT]
    agent = agent_in(call)
    if agent is not None:
        others = [party for party in call.parties if party.leg != agent.leg and party.state in _TALKING]
        if len(others) == 1 and others[0].role is not Role.SUPERVISOR:
            return TransferCall(leg=others[0].leg, agent=agent.leg, number=number, context=context)
    elif call.state is CallState.QUEUED and len(others) == 1:
        return TransferCall(leg=others[0].leg, agent=None, number=number, context=context)
    raise CallRefused(
        "not_possible",
        f"the call is {call.state} and has {len(call.parties)} parties: a transfer is of an agent and one "
        "other who talk, or of a caller who waits in a queue",
    )


def is_moved(before: Call, now: Call, command: TransferCall) -> bool:
    """Whether a call shows what a transfer asks for: the agent is out of it, or he waits there no longer."""
    if command.agent is not None:
        return all(party.leg != command.agent for party in now.parties)
    waits = {(party.leg, party.state, party.since) for party in before.parties if party.leg == command.leg}
    # He may wait in another queue by now, or in the same one again.
    return now.queue != before.queue or not waits & {(p.leg, p.state, p.since) for p in now.parties}


def prioritize(call: Call, position: int) -> PrioritizeCaller:
    """Plan a better place for who waits. Raises CallRefused: `not_waiting`."""
    for party in call.parties:
        if party.state is PartyState.QUEUED and call.queue is not None:
            return PrioritizeCaller(leg=party.leg, queue=call.queue, position=position)
    raise CallRefused("not_waiting", f"the call is {call.state}: nobody waits in a queue")


def place_of(call: Call, store: Store) -> int | None:
    """The position at which a call waits, if it does."""
    queue = store.queues.get(call.queue) if call.queue is not None else None
    waiting = queue.waiting if queue is not None else ()
    return next((waiter.position for waiter in waiting if waiter.call == call.id), None)


def recorded_party(call: Call) -> Party:
    """Whose leg a recording is made at: the agent's, where no supervisor's voice is heard by it.

    Raises:
        CallRefused: `private`, `objected`, or `no_agent`.
    """
    check_unprotected(call)
    party = agent_in(call)
    if party is None:
        raise CallRefused("no_agent", f"the call is {call.state}: an agent's conversation is recorded")
    return party


def check_recorded(call: Call) -> None:
    """Raises CallRefused: `not_recorded`."""
    if call.recording is Recording.OFF:
        raise CallRefused("not_recorded", "the call is not being recorded")


def check_basis(basis: str) -> None:
    """Check why a recording may be made. Raises InvalidRequest."""
    if not basis.strip() or not basis.isprintable() or len(basis) > LONGEST_BASIS:
        raise InvalidRequest(
            f"say why it may be made, in 1 to {LONGEST_BASIS} printable characters, "
            "such as training, with the customer's consent",
            field="basis",
        )


def file_name(call: Call, at: Instant, policy: CallPolicy) -> str:
    """The file of a recording: `<call>-<when it starts, UTC>`, in characters that no shell takes apart."""
    started = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%S%fZ")
    name = f"{_UNSAFE.sub('_', call.id)}-{started}.{policy.format}"
    return f"{policy.directory.rstrip('/')}/{name}" if policy.directory else name


def check_free(agent: Agent, device: Device | None) -> None:
    """Check that an agent can be called. Raises AgentRefused: `not_free`, or `phone_unreachable`."""
    if agent.call is not None or agent.state not in _FREE:
        raise AgentRefused("not_free", f"{agent.id} is {agent.state}: she is rung when she is free")
    if device is None:
        return
    if device.state is DeviceState.UNAVAILABLE:
        raise AgentRefused("phone_unreachable", f"{agent.id}'s phone {device.id} cannot be reached")
    if device.state not in (DeviceState.IDLE, DeviceState.UNKNOWN):
        raise AgentRefused("not_free", f"{agent.id}'s phone {device.id} is {device.state}")


def check_text(text: str) -> None:
    """Check a text to an agent. Raises InvalidRequest."""
    if not text.strip() or not text.isprintable():
        raise InvalidRequest("text is empty, or has a line break or another control character", field="text")
    if len(text) > LONGEST_TEXT or len(text.encode()) > LONGEST_TEXT_BYTES:
        raise InvalidRequest(
            f"text is longer than {LONGEST_TEXT} characters, or {LONGEST_TEXT_BYTES} bytes of UTF-8",
            field="text",
        )


def is_of(call: Call, agent: AgentId | None) -> bool:
    """Whether an agent is a party of a call."""
    return agent is not None and any(party.agent == agent for party in call.parties)


def legs_of(call: Call) -> tuple[LegId, ...]:
    """All legs of a call."""
    return tuple([party.leg for party in call.parties])


def has_flag(call: Call, flag: CallFlag) -> bool:
    """Whether a call has a flag."""
    return call.private if flag is CallFlag.PRIVATE else call.objected


def kept(call: Call) -> Kept:
    """What is kept with a call's legs once its flags have been set on all of them."""
    return frozenset((flag, leg) for flag in CallFlag if has_flag(call, flag) for leg in legs_of(call))


def protection(call: Call, already: Kept) -> list[StopRecording | FlagCall]:
    """What is missing for a call to be protected as its flags say, when so much is kept `already`."""
    flags = [flag for flag in CallFlag if has_flag(call, flag)]
    if not flags:
        return []
    legs = legs_of(call)
    missing: list[StopRecording | FlagCall] = []
    if call.recording is not Recording.OFF:
        missing.append(StopRecording(legs=legs))
    missing += [
        FlagCall(legs=legs, flag=flag) for flag in flags if any((flag, leg) not in already for leg in legs)
    ]
    return missing

"""How entities read in a terminal: words, a sign and a colour; the colour never says it alone. Pure."""

from rich.text import Text

from ctid.logs import clean
from ctid.model.entities import Agent, Call, Membership, Party, Queue, Supervision
from ctid.model.words import (
    AgentState,
    CallState,
    Hear,
    LinkState,
    Mode,
    Recording,
    Role,
    Scope,
    SupervisionState,
)

_AGENT = {
    AgentState.READY: ("○", "ready", "green"),
    AgentState.OFFERED: ("◔", "ringing", "bold yellow"),
    AgentState.BUSY: ("●", "on a call", "cyan"),
    AgentState.BUSY_OTHER: ("◆", "other call", "magenta"),
    AgentState.WORKING_AFTER_CALL: ("◑", "after call", "blue"),
    AgentState.NOT_READY: ("‖", "not ready", "yellow"),
    AgentState.LOGGED_OUT: ("·", "logged out", "dim"),
    AgentState.UNKNOWN: ("?", "unknown", "red"),
}
_CALL = {
    CallState.INITIATED: ("·", "dialling", "dim"),
    CallState.QUEUED: ("…", "waiting", "yellow"),
    CallState.ALERTING: ("◔", "ringing", "bold yellow"),
    CallState.CONNECTED: ("●", "connected", "cyan"),
    CallState.HELD: ("‖", "held", "magenta"),
    CallState.ENDED: ("-", "ended", "dim"),
}
_RECORDING = {Recording.ON: "recorded", Recording.PAUSED: "recording paused"}
_MODES = {
    Mode.LISTEN: "listens",
    Mode.WHISPER: "whispers",
    Mode.BARGE: "barges in",
    Mode.TAKEOVER: "took over",
}


def peer(text: str) -> Text:
    """Text that came from a PBX: no control character of it reaches the terminal, and no markup is read."""
    return Text(clean(text))


def agent_state(agent: Agent) -> Text:
    """An agent's state, and the reason of a pause."""
    sign, word, style = _AGENT[agent.state]
    if agent.reason == "device_unavailable":
        word = "phone away"
    elif agent.reason:
        word = f"{word}: {clean(agent.reason)}"
    return _stale(Text(f"{sign} {word}", style=style), stale=agent.stale)


def what_follows(agent: Agent, now: float) -> Text:
    """What is known of the time after her call: after-call work that is left, and the state after it."""
    parts = []
    if agent.after_call_work is not None:
        parts.append(f"{span(agent.after_call_work.ends_at - now)} left")
    if agent.pending is not None:
        sign, word, _ = _AGENT[agent.pending]
        parts.append(
            f"then {sign} {word}{f': {clean(agent.pending_reason)}' if agent.pending_reason else ''}"
        )
    return Text(", ".join(parts))


def missed(agent: Agent) -> str:
    """How many calls rang at her in vain, in all her queues; empty when none did."""
    count = sum(membership.missed for membership in agent.queues)
    return str(count) if count else ""


def call_state(call: Call) -> Text:
    """A call's state."""
    sign, word, style = _CALL[call.state]
    return _stale(Text(f"{sign} {word}", style=style), stale=call.stale)


def protection(call: Call) -> str:
    """Whether a call is recorded, and what forbids that; empty when there is nothing to say."""
    said = [_RECORDING[call.recording]] if call.recording in _RECORDING else []
    said += ["private"] if call.private else []
    said += ["customer objects"] if call.objected else []
    return ", ".join(said)


def count_word(state: AgentState) -> str:
    """The word for members in that state, as a column or in a sum."""
    return _AGENT[state][1]


def link_state(state: LinkState) -> Text:
    """The link to a PBX."""
    if state is LinkState.CONNECTED:
        return Text("● connected", style="green")
    return Text("! DOWN", style="bold red")


_HEARD = {
    Mode.LISTEN: "nobody hears you",
    Mode.WHISPER: "the agent alone hears you",
    Mode.BARGE: "agent and customer hear you",
    Mode.TAKEOVER: "the customer is yours, the agent has been released",
}


def stance(session: Supervision) -> str:
    """Who hears her, and whom she hears."""
    muted = session.muted and session.mode is not Mode.LISTEN
    told = ["you are muted, nobody hears you" if muted else _HEARD[session.mode]]
    if session.hear is not Hear.BOTH:
        told.append(f"you hear the {session.hear} alone")
    if not session.lead:
        told.append("another session leads")
    return "; ".join(told)


def whereabouts(session: Supervision) -> str:
    """Where a session is, or what it waits for."""
    whom = f"agent {session.agent}" if session.agent else f"call {session.call}"
    match session.state:
        case SupervisionState.REQUESTED:
            return f"armed: your phone rings with the next call of {whom}"
        case SupervisionState.WAITING if session.scope is Scope.AGENT:
            return f"waiting for the next call of {whom}"
        case SupervisionState.WAITING:
            return "waiting for the next agent of the call"
        case SupervisionState.ENDED:
            return f"ended: {(session.end or 'it is over').replace('_', ' ')}"
        case _:
            return f"with {whom}"


def session(told: Supervision) -> Text:
    """A session in one line, for her whose it is."""
    if told.state is SupervisionState.ENDED:
        return peer(f"session {told.id} {whereabouts(told)}")
    if told.state in (SupervisionState.REQUESTED, SupervisionState.WAITING):
        return peer(f"{told.id}: {told.mode}, {whereabouts(told)}, phone {told.phone} ({stance(told)})")
    about = f"agent {told.agent}" if told.agent else f"call {told.call}"
    return peer(f"{told.id}: {told.mode} on {about} by phone {told.phone} ({stance(told)})")


def session_mode(told: Supervision) -> str:
    """A session's mode, and what is out of the ordinary of it."""
    unusual = [
        *([str(told.state)] if told.state is not SupervisionState.ACTIVE else []),
        *(["muted"] if told.muted else []),
        *([f"hears {told.hear}"] if told.hear is not Hear.BOTH else []),
        *([] if told.lead else ["does not lead"]),
    ]
    return f"{told.mode} ({', '.join(unusual)})" if unusual else str(told.mode)


def supervised(told: Supervision) -> str:
    """What a supervisor does with an agent."""
    match told.state:
        case SupervisionState.REQUESTED:
            return f"{told.supervisor} is armed for the next call"
        case SupervisionState.RINGING:
            return f"{told.supervisor} is being rung"
        case SupervisionState.WAITING:
            return f"{told.supervisor} waits"
        case _:
            return f"{told.supervisor} {_MODES[told.mode]}"


def _stale(text: Text, *, stale: bool) -> Text:
    return text.append(" (stale)", style="bold red") if stale else text


def span(seconds: float) -> str:
    """A length of time: `0:07`, `12:40`, `3:05:00`; never below 0, for two machines' clocks may differ."""
    whole = max(int(seconds), 0)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def customer(call: Call) -> Text:
    """Who is on the line: the number, and the name where there is one."""
    party = _of_role(call, Role.CUSTOMER) or (call.parties[0] if call.parties else None)
    if party is None:
        return Text("")
    return peer(f"{party.number} {party.name}".strip() or "anonymous")


def agent_of(call: Call) -> str:
    """The id of the agent in a call; empty when there is none."""
    party = _of_role(call, Role.AGENT)
    return (party.agent or party.number) if party else ""


def _of_role(call: Call, role: Role) -> Party | None:
    return next((party for party in call.parties if party.role is role), None)


def longest_wait(queue: Queue, now: float) -> str:
    """How long the caller who waits longest has been waiting; empty when nobody does."""
    return span(now - min(waiting.since for waiting in queue.waiting)) if queue.waiting else ""


def memberships(queues: tuple[Membership, ...]) -> str:
    """An agent's queues; one in which she is paused alone is marked."""
    return " ".join(f"{clean(member.queue)}{'‖' if member.paused else ''}" for member in queues)

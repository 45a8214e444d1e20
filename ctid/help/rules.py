"""How a raised hand goes from one state to the next. Pure, time is an argument."""

from msgspec import Struct
from msgspec.structs import replace

from ctid.model.entities import Agent, Call, Help, Supervision
from ctid.model.errors import HelpRefused
from ctid.model.ids import AgentId, CallId, HelpId
from ctid.model.instant import Instant
from ctid.model.words import CallState, Carrier, HelpEnd, HelpState, LinkState, Origin
from ctid.state.store import Store

GONE_S = 1.0
"""The PBX tells of a call that moves one leg after the other: only after so long is she out of it."""
_TALKING = (CallState.CONNECTED, CallState.HELD)


class Sight(Struct, frozen=True, kw_only=True):
    """What is to be seen of an agent who raised a hand, and of the session that it led to."""

    conversation: CallId | None
    """The call in which she is with somebody."""
    session: Supervision | None
    """The session that names the raised hand, or that the raised hand names."""
    gone_s: float = 0.0
    """For how long she has been in no conversation, in seconds."""


def raised(
    ident: HelpId,
    agent: Agent,
    call: CallId | None,
    *,
    by: Carrier,
    raised_by: str = "",
    text: str,
    now: Instant,
    expires_s: float,
) -> Help:
    """A hand that has just been raised."""
    return Help(
        id=ident,
        pbx=agent.pbx,
        agent=agent.id,
        team=agent.team,
        call=call,
        state=HelpState.OPEN,
        since=now,
        raised_at=now,
        by=by,
        raised_by=raised_by,
        text=text,
        expires_at=Instant(now + expires_s),
    )


def asked_again(help_: Help, *, by: Carrier, raised_by: str, text: str) -> Help:
    """A hand that is up, raised once more: with the new text if there is one, hers once she does it."""
    if help_.raised_by and not raised_by:
        help_ = replace(help_, by=by, raised_by="")
    return replace(help_, text=text or help_.text)


def origin_of(help_: Help) -> Origin:
    """At whose wish a session for it begins: only what she asked for herself lifts what bounds listening."""
    return Origin.SUPERVISOR if help_.raised_by else Origin.AGENT_REQUEST


def claimed(help_: Help, by: str, now: Instant) -> Help:
    """Somebody takes it.

    Raises:
        HelpRefused: somebody has it already.
    """
    if help_.state is HelpState.CLAIMED:
        raise HelpRefused(
            "already_claimed",
            f"{help_.claimed_by} has taken it: let her, or supervise {help_.agent} beside her",
        )
    return replace(
        help_,
        state=HelpState.CLAIMED,
        since=now,
        claimed_by=by,
        claimed_at=now,
        wait_s=max(now - help_.raised_at, 0.0),
    )


def reopened(help_: Help, now: Instant) -> Help:
    """Her session could not begin: it waits again, and what that took is no time that it waited in vain."""
    lost = max(now - (help_.claimed_at or now), 0.0)
    return replace(
        help_,
        state=HelpState.OPEN,
        since=now,
        claimed_by="",
        claimed_at=None,
        wait_s=None,
        expires_at=Instant(help_.expires_at + lost),
    )


def ended(help_: Help, end: HelpEnd, now: Instant, by: str = "") -> Help:
    """It is down."""
    return replace(help_, state=HelpState.ENDED, since=now, ended_at=now, end=end, ended_by=by)


def judged(help_: Help, sight: Sight | None, now: Instant) -> Help:
    """A raised hand as it must be by now; one whose claim is still being carried out is not to be judged.

    With no sight, since the link to the PBX is down, only the time decides.
    """
    if help_.state is HelpState.OPEN and now >= help_.expires_at:
        return ended(help_, HelpEnd.EXPIRED, now)
    if sight is None:
        return help_
    if help_.state is HelpState.CLAIMED:
        if help_.supervision is None:
            # Its claim is of a ctid that was killed: the session may have begun all the same.
            if sight.session is None:
                return reopened(help_, now)
            return replace(help_, supervision=sight.session.id)
        return help_ if sight.session is not None else ended(help_, HelpEnd.ANSWERED, now)
    if help_.call is None:
        return help_
    if sight.conversation is not None:
        return replace(help_, call=sight.conversation)
    return ended(help_, HelpEnd.CALL_ENDED, now) if sight.gone_s >= GONE_S else help_


def is_visible(store: Store, help_: Help) -> bool:
    """Whether the PBX's agents and calls are known now: else nothing can be said of hers."""
    link = store.pbxs.get(help_.pbx)
    return link is not None and link.state is LinkState.CONNECTED and link.synchronized_at is not None


def conversation(store: Store, agent: AgentId, known: CallId | None) -> CallId | None:
    """The call in which an agent is with somebody; the one that is known, as long as she is in it."""
    told = store.agents.get(agent)
    for ident in (known, told.call if told is not None else None):
        call = store.calls.get(ident) if ident is not None else None
        if call is not None and call.state in _TALKING and _is_in(call, agent):
            return call.id
    return None


def _is_in(call: Call, agent: AgentId) -> bool:
    return any(party.agent == agent for party in call.parties)


def session_of(store: Store, help_: Help) -> Supervision | None:
    """The live session that a raised hand led to."""
    if help_.supervision is not None:
        return store.supervisions.get(help_.supervision)
    return next((session for session in store.supervisions.values() if session.help == help_.id), None)

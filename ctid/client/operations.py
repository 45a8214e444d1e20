"""The operations of ctid as methods.

Written by `make client` from the table of operations: change that, not this file.
"""

from collections.abc import Mapping, Sequence

from ctid.client.http import Http, given, segment
from ctid.client.pages import Pages
from ctid.client.structs import (
    Agent,
    AgentPage,
    AgentState,
    AgentStory,
    AuditPage,
    Call,
    CallPage,
    CallState,
    CommandedAgent,
    CommandedCall,
    CreatedToken,
    DeadLetter,
    DeadLetters,
    Device,
    DevicePage,
    DeviceState,
    Drawn,
    Entry,
    ErasureReport,
    Figures,
    Ghosts,
    Hear,
    Help,
    HelpPage,
    HelpState,
    Item,
    Mode,
    ModeAsked,
    MomentPage,
    PeriodsNow,
    PurgeReport,
    Purpose,
    Queue,
    QueuePage,
    QueueTarget,
    Reconciled,
    RecordingAction,
    RecordingEntry,
    RecordingPage,
    Retried,
    Scope,
    SentMessage,
    SessionAbout,
    SessionNow,
    SessionsPage,
    Sheet,
    SheetPage,
    SheetVersions,
    Status,
    SubjectDocument,
    SubjectKind,
    Supervision,
    SupervisionPage,
    SupervisionState,
    Tested,
    TokenInfo,
    TokenList,
    UserInfo,
    UserList,
    UserRole,
    Verification,
    Via,
    WarnedSupervision,
    WebhookList,
    When,
)


class AgentsOperations:
    """Operations: agents."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(
        self,
        *,
        limit: int | None = None,
        state: AgentState | str | None = None,
        team: str | None = None,
        queue: str | None = None,
    ) -> Pages[AgentPage, Agent]:
        """Agents.

        Answers one page in the order of ids. While `next` is not null, ask again with it as `cursor`; an
        entity that is there all the while is on exactly one page. Filters are combined: an agent must
        match all of them.

        `limit`: The most items to answer with.

        `team`: A team's name, as the configuration gives it.

        `queue`: A queue's id; its members.
        """
        return Pages(
            self._http, AgentPage, "/agents", given(limit=limit, state=state, team=team, queue=queue)
        )

    async def get(self, ident: str, /) -> Agent:
        """One agent.

        The agent as she is now.

        Refused, beside what any operation can be, with `agent.unknown`.
        """
        return await self._http.result(Agent, "GET", f"/agents/{segment(ident)}")

    async def login(self, ident: str, /, *, queues: Sequence[str] | None = None) -> CommandedAgent:
        """Log an agent in.

        Makes her a member of `queues`; left out, of those that the configuration gives her. A pause that
        holds in all her queues holds in the new ones too. May be asked again: what is so already is not
        done twice. Answers once the state shows it. When it is done in some queues only, the refusal
        `agent.partly_done` tells in `queues` which; look at her again.

        `queues`: Ids of queues; those that the configuration gives her when this is left out.

        Refused, beside what any operation can be, with `agent.unknown`, `queue.unknown`, `pbx.refused`,
        `agent.partly_done`, `pbx.link_down`, `pbx.timeout`.
        """
        return await self._http.result(
            CommandedAgent, "POST", f"/agents/{segment(ident)}/login", body=given(queues=queues)
        )

    async def logout(self, ident: str, /, *, queues: Sequence[str] | None = None) -> CommandedAgent:
        """Log an agent out.

        Ends her membership of `queues`, or of all; a call that she is in goes on. The PBX refuses it
        where she is a member by its own configuration. May be asked again: what is so already is not
        done twice. Answers once the state shows it. When it is done in some queues only, the refusal
        `agent.partly_done` tells in `queues` which; look at her again.

        `queues`: Ids of queues; all of hers when this is left out.

        Refused, beside what any operation can be, with `agent.unknown`, `queue.unknown`, `pbx.refused`,
        `agent.partly_done`, `pbx.link_down`, `pbx.timeout`.
        """
        return await self._http.result(
            CommandedAgent, "POST", f"/agents/{segment(ident)}/logout", body=given(queues=queues)
        )

    async def pause(
        self,
        ident: str,
        /,
        *,
        queues: Sequence[str] | None = None,
        reason: str | None = None,
        when: When | str | None = None,
    ) -> CommandedAgent:
        """Pause an agent, or change the reason of her pause.

        `queues`, or all of hers, offer her no more calls. A call that she is in, or that rings at her,
        goes on; until it is over, and her after-call work with it, `pending` is `not_ready`. May be
        asked again: what is so already is not done twice. Answers once the state shows it. When it is
        done in some queues only, the refusal `agent.partly_done` tells in `queues` which; look at her
        again.

        `queues`: Ids of queues; all of hers when this is left out.

        `reason`: One that the configuration lists; where it lists none, any short text.

        Refused, beside what any operation can be, with `agent.unknown`, `queue.unknown`, `pbx.refused`,
        `agent.partly_done`, `pbx.link_down`, `pbx.timeout`, `agent.logged_out`, `agent.not_a_member`.
        """
        return await self._http.result(
            CommandedAgent,
            "POST",
            f"/agents/{segment(ident)}/pause",
            body=given(queues=queues, reason=reason, when=when),
        )

    async def resume(self, ident: str, /, *, queues: Sequence[str] | None = None) -> CommandedAgent:
        """End an agent's pause.

        In `queues`, or in all of hers. After-call work goes on, unless the pause that ends is the one by
        which ctid enforces it. May be asked again: what is so already is not done twice. Answers once
        the state shows it. When it is done in some queues only, the refusal `agent.partly_done` tells in
        `queues` which; look at her again.

        `queues`: Ids of queues; all of hers when this is left out.

        Refused, beside what any operation can be, with `agent.unknown`, `queue.unknown`, `pbx.refused`,
        `agent.partly_done`, `pbx.link_down`, `pbx.timeout`, `agent.logged_out`, `agent.not_a_member`.
        """
        return await self._http.result(
            CommandedAgent, "POST", f"/agents/{segment(ident)}/resume", body=given(queues=queues)
        )

    async def end_after_call_work(self, ident: str, /) -> CommandedAgent:
        """End an agent's after-call work.

        Where it is enforced, her pause for it ends too. Good as well when she does none: then nothing
        changes.

        Refused, beside what any operation can be, with `agent.unknown`.
        """
        return await self._http.result(
            CommandedAgent, "POST", f"/agents/{segment(ident)}/end-after-call-work", body=given()
        )

    async def extend_after_call_work(self, ident: str, /, *, seconds: float) -> CommandedAgent:
        """Give an agent more time for after-call work.

        Its end comes `seconds` later than it would have, and at most an hour from now.

        Refused, beside what any operation can be, with `agent.unknown`, `agent.not_in_after_call_work`.
        """
        return await self._http.result(
            CommandedAgent,
            "POST",
            f"/agents/{segment(ident)}/extend-after-call-work",
            body=given(seconds=seconds),
        )

    async def message(self, ident: str, /, *, text: str) -> SentMessage:
        """Send a text to an agent.

        To her phone as a SIP MESSAGE (RFC 3428), and as the event `agent.message` on the broker and on
        event streams. The answer says by which ways it went; whether she read it nobody tells.

        Refused, beside what any operation can be, with `agent.unknown`, `agent.phone_unreachable`,
        `pbx.refused`, `pbx.link_down`, `pbx.timeout`.
        """
        return await self._http.result(
            SentMessage, "POST", f"/agents/{segment(ident)}/message", body=given(text=text)
        )

    async def story(self, ident: str, /) -> AgentStory:
        """Why an agent is in her state.

        The agent, and the last facts that bore on her, oldest first: when the PBX says each happened,
        its own name of the event, what it told that was new, and her state after it. It begins when ctid
        does, and holds no callers' numbers.

        Refused, beside what any operation can be, with `agent.unknown`.
        """
        return await self._http.result(AgentStory, "GET", f"/agents/{segment(ident)}/story")

    async def help(self, ident: str, /, *, text: str | None = None) -> Help:
        """Raise an agent's hand.

        She asks a supervisor for help, in the call that she is in. An agent raises her own; one that is
        up already is answered as it is. It ends when a supervisor has been there, when it is withdrawn,
        with the call, or by itself at `expires_at`.

        `text`: For the supervisors; it is not told on MQTT.

        Refused, beside what any operation can be, with `agent.unknown`.
        """
        return await self._http.result(Help, "POST", f"/agents/{segment(ident)}/help", body=given(text=text))

    def sessions(self, ident: str, /, *, limit: int | None = None) -> Pages[SessionsPage, SessionAbout]:
        """The sessions about an agent.

        Who listened to her, when, in which modes, why, and whether she was told, from the audit; the
        newest first. For the agent herself, and for who has the right `audit` over her team. While
        `next` is not null, ask again with it as `cursor`.

        `limit`: The most items to answer with.

        Refused, beside what any operation can be, with `agent.unknown`, `audit.unavailable`.
        """
        return Pages(self._http, SessionsPage, f"/agents/{segment(ident)}/sessions", given(limit=limit))


class AuditOperations:
    """Operations: audit."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(
        self,
        *,
        agent: str | None = None,
        by: str | None = None,
        event: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
    ) -> Pages[AuditPage, Item]:
        """Who listened to whom, and what else is accounted for.

        Records in the order in which they were written; that they were read is recorded as well. While
        `next` is not null, ask again with it as `cursor`; what is written meanwhile is on no page.

        `agent`: An agent's id: records about her alone.

        `by`: Who asked, or whose session it is.

        `event`: Such as `refused`, `active` or `unattributed`.

        `since`: A date-time (RFC 3339); the beginning of all.

        `until`: A date-time (RFC 3339), itself not in the period; now.

        `limit`: The most items to answer with.

        Refused, beside what any operation can be, with `audit.unavailable`.
        """
        return Pages(
            self._http,
            AuditPage,
            "/audit",
            given(agent=agent, by=by, event=event, since=since, until=until, limit=limit),
        )

    async def verify(self, *, anchor: str | None = None) -> Verification:
        """Whether the audit is as it was written.

        Reads all of it. A record that was edited, taken out, put in or moved is in `findings`, with its
        number, file and line. Give an `anchor` that was kept elsewhere: whoever could write all of the
        files anew could not make that hash anew.

        `anchor`: The hash of an anchor that was kept elsewhere.

        Refused, beside what any operation can be, with `audit.unavailable`.
        """
        return await self._http.result(Verification, "GET", "/audit/verification", query=given(anchor=anchor))


class CallsOperations:
    """Operations: calls."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(
        self,
        *,
        limit: int | None = None,
        state: CallState | str | None = None,
        queue: str | None = None,
        agent: str | None = None,
    ) -> Pages[CallPage, Call]:
        """Live calls.

        Answers one page in the order of ids. While `next` is not null, ask again with it as `cursor`; an
        entity that is there all the while is on exactly one page. The roles viewer and integrator see
        callers' numbers masked, and no `supervisions`.

        `limit`: The most items to answer with.

        `queue`: The id of the queue that the call waits in or came from.

        `agent`: An agent's id; calls that she is a party of.
        """
        return Pages(
            self._http, CallPage, "/calls", given(limit=limit, state=state, queue=queue, agent=agent)
        )

    async def get(self, ident: str, /) -> Call:
        """One live call.

        The call as it is now; one that has ended is unknown. Masked as in the list.

        Refused, beside what any operation can be, with `call.unknown`.
        """
        return await self._http.result(Call, "GET", f"/calls/{segment(ident)}")

    async def create(self, *, agent: str, number: str) -> CommandedCall:
        """Call a number with an agent's phone.

        Her phone rings; once she answers, the number is dialled as if she had, in the dialplan context
        of the configuration. Answers with the call once her phone rings. She must be free.

        `number`: 1 to 32 of 0-9 * # +; an agent's, a queue's, or allowed.

        Refused, beside what any operation can be, with `agent.unknown`, `agent.phone_unreachable`,
        `pbx.refused`, `pbx.link_down`, `pbx.timeout`, `call.number_not_allowed`, `agent.not_free`.
        """
        return await self._http.result(
            CommandedCall, "POST", "/calls", body=given(agent=agent, number=number)
        )

    async def hang_up(self, ident: str, /, *, party: str | None = None) -> CommandedCall:
        """Hang up a call, or one party of it.

        The agent's side first, so that a queue counts the call as ended by it. Answers once the state
        shows it; `unconfirmed` says that it does not after 2 s.

        `party`: A party's `leg`; the whole call when left out.

        Refused, beside what any operation can be, with `call.unknown`, `pbx.refused`, `pbx.link_down`,
        `pbx.timeout`.
        """
        return await self._http.result(
            CommandedCall, "POST", f"/calls/{segment(ident)}/hangup", body=given(party=party)
        )

    async def transfer(self, ident: str, /, *, to: str | QueueTarget) -> CommandedCall:
        """Send a call on.

        The customer goes on at `to`, and the agent is released: her queue counts it as a transfer. A
        call that waits in a queue leaves it. Answers once the state shows it; `unconfirmed` says that it
        does not after 2 s.

        `to`: An agent's, a queue's or an allowed number, or a queue by its id.

        Refused, beside what any operation can be, with `call.unknown`, `pbx.refused`, `pbx.link_down`,
        `pbx.timeout`, `call.number_not_allowed`, `queue.unknown`, `call.not_possible`, `call.ended`.
        """
        return await self._http.result(
            CommandedCall, "POST", f"/calls/{segment(ident)}/transfer", body=given(to=to)
        )

    async def prioritize(self, ident: str, /, *, position: int | None = None) -> CommandedCall:
        """Move a waiting call up.

        To `position` in its queue; the others keep their order. Only up: a call that is there, or before
        it, stays. Answers once the state shows it; `unconfirmed` says that it does not after 2 s.

        Refused, beside what any operation can be, with `call.unknown`, `pbx.refused`, `pbx.link_down`,
        `pbx.timeout`, `call.not_waiting`.
        """
        return await self._http.result(
            CommandedCall, "POST", f"/calls/{segment(ident)}/priority", body=given(position=position)
        )

    async def record(
        self, ident: str, /, *, action: RecordingAction | str, basis: str | None = None
    ) -> CommandedCall:
        """Record a call: start, stop, pause, resume.

        The PBX keeps the audio of the agent's conversation, until she leaves it; no supervisor is heard
        in it. While it is paused it keeps silence. A start needs a `basis`, which the index of
        recordings keeps. A stop ends every recording of the call, also those that the PBX began by
        itself. Answers once the state shows it; `unconfirmed` says that it does not after 2 s.

        `basis`: Why it may be made; a start needs it. It is kept.

        Refused, beside what any operation can be, with `call.unknown`, `pbx.refused`, `pbx.link_down`,
        `pbx.timeout`, `call.private`, `call.objected`, `call.no_agent`, `call.not_recorded`,
        `call.not_possible`, `call.ended`, `recordings.unavailable`.
        """
        return await self._http.result(
            CommandedCall,
            "POST",
            f"/calls/{segment(ident)}/recording",
            body=given(action=action, basis=basis),
        )

    async def private(self, ident: str, /) -> CommandedCall:
        """Make a call private.

        It is not listened to or recorded from now on. For good: there is no way back for this call.
        Whatever records it is stopped, also what the PBX began by itself, and neither a recording nor a
        supervision of it can begin. The PBX keeps it with the call, so that it outlives ctid. The role
        agent may do so with her own calls.

        Refused, beside what any operation can be, with `call.unknown`, `pbx.refused`, `pbx.link_down`,
        `pbx.timeout`, `call.ended`.
        """
        return await self._http.result(
            CommandedCall, "POST", f"/calls/{segment(ident)}/private", body=given()
        )

    async def objected(self, ident: str, /) -> CommandedCall:
        """Note that the customer objects.

        To being listened to or recorded. For good: there is no way back for this call. Whatever records
        it is stopped, also what the PBX began by itself, and neither a recording nor a supervision of it
        can begin. The PBX keeps it with the call, so that it outlives ctid. The role agent may do so
        with her own calls.

        Refused, beside what any operation can be, with `call.unknown`, `pbx.refused`, `pbx.link_down`,
        `pbx.timeout`, `call.ended`.
        """
        return await self._http.result(
            CommandedCall, "POST", f"/calls/{segment(ident)}/objected", body=given()
        )


class DevicesOperations:
    """Operations: devices."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(
        self, *, limit: int | None = None, state: DeviceState | str | None = None
    ) -> Pages[DevicePage, Device]:
        """Phones.

        Answers one page in the order of ids. While `next` is not null, ask again with it as `cursor`; an
        entity that is there all the while is on exactly one page.

        `limit`: The most items to answer with.
        """
        return Pages(self._http, DevicePage, "/devices", given(limit=limit, state=state))

    async def get(self, ident: str, /) -> Device:
        """One phone.

        The device as it is now.

        Refused, beside what any operation can be, with `device.unknown`.
        """
        return await self._http.result(Device, "GET", f"/devices/{segment(ident)}")


class DrawOperations:
    """Operations: draw."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def get(self, *, team: str) -> Drawn:
        """Draw an agent to listen to.

        At random among those of a team who are logged in, and whom law and rights let you listen to now,
        spread over those who have been listened to least this week. The seed is in ctid's log.

        Refused, beside what any operation can be, with `supervision.outside_period`,
        `supervision.nobody_to_draw`.
        """
        return await self._http.result(Drawn, "GET", "/draw", query=given(team=team))


class FiguresOperations:
    """Operations: figures."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def get(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        queue: str | None = None,
        agent: str | None = None,
    ) -> Figures:
        """Figures of queues and agents.

        Of a period: since midnight where ctid runs, unless it is given. Each figure's formula is in
        `formulas`; a rate of nothing is null. `gaps` are times that ctid did not see; those that are
        `filled` are in the figures, from the PBX's own log. Each figure opens into its moments.

        `since`: A date-time (RFC 3339); the last midnight where ctid runs.

        `until`: A date-time (RFC 3339), itself not in the period; now.

        `queue`: A queue's id: its moments alone.

        `agent`: An agent's id: moments that she has a part in alone.

        Refused, beside what any operation can be, with `history.unavailable`.
        """
        return await self._http.result(
            Figures, "GET", "/figures", query=given(since=since, until=until, queue=queue, agent=agent)
        )

    def calls(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        queue: str | None = None,
        agent: str | None = None,
        kind: str | None = None,
        by: str | None = None,
        limit: int | None = None,
    ) -> Pages[MomentPage, Entry]:
        """The moments behind a figure.

        In the order of time, with the caller's leg, the PBX's own unique id; no number and no name is
        kept. `source` says whether ctid saw it (`event`) or the PBX's log told it (`log`). While `next`
        is not null, ask again with it as `cursor`.

        `since`: A date-time (RFC 3339); the last midnight where ctid runs.

        `until`: A date-time (RFC 3339), itself not in the period; now.

        `queue`: A queue's id: its moments alone.

        `agent`: An agent's id: moments that she has a part in alone.

        `kind`: One of call_served, caller_abandoned, caller_answered, caller_left, caller_queued,
        offer_missed.

        `by`: Who ended a served call, or why a caller left: caller, agent, transfer, timeout, empty,
        full, key, withdrawn, other.

        `limit`: The most items to answer with.

        Refused, beside what any operation can be, with `history.unavailable`.
        """
        return Pages(
            self._http,
            MomentPage,
            "/figures/calls",
            given(since=since, until=until, queue=queue, agent=agent, kind=kind, by=by, limit=limit),
        )


class GhostsOperations:
    """Operations: ghosts."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def list(self) -> Ghosts:
        """What the PBX does not bear out.

        Agents, phones and calls of which the PBX's lists contradict each other or what is known, in
        snapshots at least five seconds apart, and those whose link is down.
        """
        return await self._http.result(Ghosts, "GET", "/ghosts")


class HelpOperations:
    """Operations: help."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(
        self,
        *,
        limit: int | None = None,
        state: HelpState | str | None = None,
        agent: str | None = None,
        team: str | None = None,
    ) -> Pages[HelpPage, Help]:
        """Raised hands.

        Answers one page in the order of ids. While `next` is not null, ask again with it as `cursor`; an
        entity that is there all the while is on exactly one page. An agent sees her own.

        `limit`: The most items to answer with.

        `agent`: An agent's id.

        `team`: A team's name, as the configuration gives it.
        """
        return Pages(self._http, HelpPage, "/help", given(limit=limit, state=state, agent=agent, team=team))

    async def get(self, ident: str, /) -> Help:
        """One raised hand.

        As it is now; one that is down is unknown. An agent sees her own.

        Refused, beside what any operation can be, with `help.unknown`.
        """
        return await self._http.result(Help, "GET", f"/help/{segment(ident)}")

    async def withdraw(self, ident: str, /) -> Help:
        """Take a raised hand down.

        An agent her own. A session that it led to goes on. Answers it as it ended.

        Refused, beside what any operation can be, with `help.unknown`.
        """
        return await self._http.result(Help, "DELETE", f"/help/{segment(ident)}")

    async def claim(self, ident: str, /, *, via: Via, mode: Mode | str | None = None) -> Supervision:
        """Answer a raised hand: step into the agent's call.

        Begins a session with her as `supervisions.create` does, for the purpose `assistance`, and
        answers with it. While your phone rings the raised hand is yours: whoever comes second is told
        who has it. If the session cannot begin, it is up again.

        Refused, beside what any operation can be, with `help.unknown`, `help.already_claimed`,
        `supervision.no_live_call`, `supervision.call_ended`, `supervision.phone_not_allowed`,
        `supervision.phone_unreachable`, `supervision.phone_no_answer`, `supervision.phone_busy`,
        `supervision.already_active`, `supervision.mode_not_possible`, `supervision.not_leading`,
        `supervision.pin_wrong`, `supervision.takeover_failed`, `supervision.not_active`,
        `supervision.agent_protected`, `supervision.outside_period`, `supervision.quota_reached`,
        `pbx.refused`, `pbx.link_down`, `audit.unavailable`, `pbx.timeout`.
        """
        return await self._http.result(
            Supervision, "POST", f"/help/{segment(ident)}/claim", body=given(via=via, mode=mode)
        )


class PbxsOperations:
    """Operations: pbxs."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def reconcile(self, ident: str, /) -> Reconciled:
        """Compare what is known with the PBX's own lists.

        Takes a snapshot and answers once it is in force, with every difference between what had been
        told and what the PBX lists; the PBX is believed. Requests that come together share a snapshot.

        Refused, beside what any operation can be, with `pbx.unknown`, `pbx.link_down`, `pbx.timeout`.
        """
        return await self._http.result(Reconciled, "POST", f"/pbxs/{segment(ident)}/reconcile", body=given())


class PeriodsOperations:
    """Operations: periods."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def get(self) -> PeriodsNow:
        """When agents may be listened to.

        The listening periods of each team, how its agents are told that they are listened to, and the
        bounds in force: what the agents are to know. Outside of them listening is refused, but for an
        emergency that is explained, and for help that the agent asked for.
        """
        return await self._http.result(PeriodsNow, "GET", "/periods")


class QueuesOperations:
    """Operations: queues."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, *, limit: int | None = None) -> Pages[QueuePage, Queue]:
        """Queues.

        Answers one page in the order of ids. While `next` is not null, ask again with it as `cursor`; an
        entity that is there all the while is on exactly one page. Each with who waits, in order, and how
        its members stand.

        `limit`: The most items to answer with.
        """
        return Pages(self._http, QueuePage, "/queues", given(limit=limit))

    async def get(self, ident: str, /) -> Queue:
        """One queue.

        The queue as it is now.

        Refused, beside what any operation can be, with `queue.unknown`.
        """
        return await self._http.result(Queue, "GET", f"/queues/{segment(ident)}")


class RecordingsOperations:
    """Operations: recordings."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(
        self,
        *,
        call: str | None = None,
        agent: str | None = None,
        queue: str | None = None,
        by: str | None = None,
        limit: int | None = None,
    ) -> Pages[RecordingPage, RecordingEntry]:
        """Recordings that ctid had made.

        The newest first: who was recorded, by whom, why and when, and the file's name on the PBX. ctid
        keeps no audio. While `next` is not null, ask again with it as `cursor`.

        `call`: A call's id; it may have ended.

        `agent`: The id of the agent who was recorded.

        `queue`: The id of the queue that brought the call.

        `by`: The name of the user who had it made.

        `limit`: The most items to answer with.

        Refused, beside what any operation can be, with `recordings.unavailable`.
        """
        return Pages(
            self._http,
            RecordingPage,
            "/recordings",
            given(call=call, agent=agent, queue=queue, by=by, limit=limit),
        )


class RetentionOperations:
    """Operations: retention."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def purge(self, *, dry_run: bool | None = None) -> PurgeReport:
        """Take out what has been kept long enough.

        As ctid does once a day by itself, by the configuration's `[retention]` and `[history]`. In a
        `dry_run` nothing is taken out. The audit says what was, and its chain still holds.
        """
        return await self._http.result(PurgeReport, "POST", "/retention/purge", body=given(dry_run=dry_run))


class SessionOperations:
    """Operations: session."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def get(self) -> SessionNow:
        """Who you are here.

        Your name, role, teams, rights and phones, whatever you showed: a token or a session's cookie.
        With a cookie, `csrf` is the value for the header `X-CTID-CSRF`, which changes need.
        """
        return await self._http.result(SessionNow, "GET", "/session")

    async def end(self) -> SessionNow:
        """Log out.

        Ends the session whose cookie this came with. A token stays as good as it is.

        Refused, beside what any operation can be, with `identity.unavailable`.
        """
        return await self._http.result(SessionNow, "DELETE", "/session")

    async def password(self, *, old: str, new: str) -> SessionNow:
        """Change your password.

        Your other sessions end. A wrong `old` counts as a wrong login.

        `new`: 12 to 256 characters, and not the name.

        Refused, beside what any operation can be, with `auth.failed`, `identity.no_password`,
        `auth.locked`, `auth.busy`, `identity.unavailable`.
        """
        return await self._http.result(SessionNow, "POST", "/session/password", body=given(old=old, new=new))


class SheetsOperations:
    """Operations: sheets."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, *, limit: int | None = None, agent: str | None = None) -> Pages[SheetPage, Sheet]:
        """Coaching sheets.

        The newest first: those that you have written, that are about you, or about agents of teams over
        which you have the right `audit`. While `next` is not null, ask again with it as `cursor`.

        `limit`: The most items to answer with.

        `agent`: An agent's id; sheets about her.

        Refused, beside what any operation can be, with `coaching.unavailable`.
        """
        return Pages(self._http, SheetPage, "/sheets", given(limit=limit, agent=agent))

    async def get(self, ident: str, /) -> Sheet:
        """One coaching sheet.

        For its author, the agent it is about, and who has the right `audit` over her team; to anybody
        else it is unknown.

        Refused, beside what any operation can be, with `sheet.unknown`, `coaching.unavailable`.
        """
        return await self._http.result(Sheet, "GET", f"/sheets/{segment(ident)}")

    async def versions(self, ident: str, /) -> SheetVersions:
        """Every version of a coaching sheet.

        The oldest first, the present one last; for those who may read the sheet.

        Refused, beside what any operation can be, with `sheet.unknown`, `coaching.unavailable`.
        """
        return await self._http.result(SheetVersions, "GET", f"/sheets/{segment(ident)}/versions")

    async def update(
        self, ident: str, /, *, grades: Mapping[str, int | None] | None = None, text: str | None = None
    ) -> Sheet:
        """Mend a coaching sheet.

        By its author, until `editable_until`. What is left out stays; a grade of null takes it away.
        Every version is kept.

        `grades`: By a criterion's id of the grid: 1 to 5; null is not graded.

        Refused, beside what any operation can be, with `sheet.unknown`, `sheet.closed`,
        `coaching.unavailable`.
        """
        return await self._http.result(
            Sheet, "PATCH", f"/sheets/{segment(ident)}", body=given(grades=grades, text=text)
        )

    async def comment(self, ident: str, /, *, text: str) -> Sheet:
        """Answer a coaching sheet.

        By the agent it is about; a second answer takes the first one's place, which is kept.

        Refused, beside what any operation can be, with `sheet.unknown`, `coaching.unavailable`.
        """
        return await self._http.result(
            Sheet, "POST", f"/sheets/{segment(ident)}/comment", body=given(text=text)
        )


class StatusOperations:
    """Operations: status."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def get(self) -> Status:
        """The state of ctid itself.

        Version, boot id, whether it is ready, each link to a PBX, and the MQTT broker.
        """
        return await self._http.result(Status, "GET", "/status")


class SubjectsOperations:
    """Operations: subjects."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def export(self, kind: SubjectKind | str, ident: str, /) -> SubjectDocument:
        """All that is kept about a person.

        `kind` is `agent`, or `number`: a telephone number's digits, which are looked for in what people
        wrote, however they are grouped there. Each class of what is kept has a list.

        Refused, beside what any operation can be, with `audit.unavailable`, `history.unavailable`,
        `help.unavailable`, `coaching.unavailable`, `webhooks.unavailable`.
        """
        return await self._http.result(SubjectDocument, "GET", f"/subjects/{segment(kind)}/{segment(ident)}")

    async def erase(
        self, kind: SubjectKind | str, ident: str, /, *, dry_run: bool | None = None
    ) -> ErasureReport:
        """Erase what may be erased of a person.

        What was written about her goes; who listened when, which the law has to be kept, stays, and the
        report says so by class. In a `dry_run` nothing is erased.

        Refused, beside what any operation can be, with `audit.unavailable`, `history.unavailable`,
        `help.unavailable`, `coaching.unavailable`, `webhooks.unavailable`.
        """
        return await self._http.result(
            ErasureReport,
            "DELETE",
            f"/subjects/{segment(kind)}/{segment(ident)}",
            query=given(dry_run=dry_run),
        )


class SupervisionsOperations:
    """Operations: supervisions."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(
        self,
        *,
        limit: int | None = None,
        state: SupervisionState | str | None = None,
        agent: str | None = None,
    ) -> Pages[SupervisionPage, Supervision]:
        """Live supervision sessions.

        Answers one page in the order of ids. While `next` is not null, ask again with it as `cursor`; an
        entity that is there all the while is on exactly one page.

        `limit`: The most items to answer with.

        `agent`: An agent's id; sessions in her calls.
        """
        return Pages(
            self._http, SupervisionPage, "/supervisions", given(limit=limit, state=state, agent=agent)
        )

    async def get(self, ident: str, /) -> Supervision:
        """One live supervision session.

        The session as it is now; one that has ended is unknown.

        Refused, beside what any operation can be, with `supervision.unknown`.
        """
        return await self._http.result(Supervision, "GET", f"/supervisions/{segment(ident)}")

    async def create(
        self,
        *,
        via: Via,
        purpose: Purpose | str,
        agent: str | None = None,
        call: str | None = None,
        mode: Mode | str | None = None,
        hear: Hear | str | None = None,
        scope: Scope | str | None = None,
        calls: int | None = None,
        minutes: float | None = None,
        note: str | None = None,
    ) -> WarnedSupervision:
        """Step into a live call.

        Rings the supervisor's phone and answers once she is in the call, in the mode asked for; that
        takes as long as she takes to answer. Name an `agent` or a `call`. A phone in `via` is a name
        that the configuration allows her, never a number to dial. The scope `next` is answered at once,
        and rings as the agent's next call begins; with `agent` she waits, her phone up, while there is
        no call. When it is refused, nothing is left ringing.

        Refused, beside what any operation can be, with `agent.unknown`, `call.unknown`,
        `supervision.no_live_call`, `supervision.call_ended`, `supervision.phone_not_allowed`,
        `supervision.phone_unreachable`, `supervision.phone_no_answer`, `supervision.phone_busy`,
        `supervision.already_active`, `supervision.mode_not_possible`, `supervision.not_leading`,
        `supervision.pin_wrong`, `supervision.takeover_failed`, `supervision.not_active`,
        `supervision.agent_protected`, `supervision.outside_period`, `supervision.quota_reached`,
        `pbx.refused`, `pbx.link_down`, `audit.unavailable`, `pbx.timeout`.
        """
        return await self._http.result(
            WarnedSupervision,
            "POST",
            "/supervisions",
            body=given(
                via=via,
                purpose=purpose,
                agent=agent,
                call=call,
                mode=mode,
                hear=hear,
                scope=scope,
                calls=calls,
                minutes=minutes,
                note=note,
            ),
        )

    async def update(
        self,
        ident: str,
        /,
        *,
        mode: ModeAsked | str | None = None,
        hear: Hear | str | None = None,
        muted: bool | None = None,
        lead: bool | None = None,
    ) -> Supervision:
        """Switch who hears the supervisor, and whom she hears.

        Only what is given changes. Answers once it is in force; there is no new ring and no gap in what
        she hears. `takeover` leaves the customer with her and releases the agent; if a step of it fails,
        the customer keeps the agent. `handback` rings the agent, returns the customer to her and ends
        the session; he stays with the supervisor if she does not answer. Of several sessions in a call
        only the leading one may be heard: `lead` takes the lead from one that listens.

        Refused, beside what any operation can be, with `supervision.unknown`,
        `request.precondition_failed`, `supervision.not_yours`, `supervision.not_active`,
        `supervision.ended`, `supervision.call_ended`, `supervision.mode_not_possible`,
        `supervision.not_leading`, `supervision.takeover_failed`, `supervision.agent_not_free`,
        `supervision.agent_unreachable`, `supervision.agent_no_answer`, `supervision.agent_protected`,
        `supervision.outside_period`, `supervision.quota_reached`, `pbx.refused`, `pbx.link_down`,
        `audit.unavailable`, `pbx.timeout`.
        """
        return await self._http.result(
            Supervision,
            "PATCH",
            f"/supervisions/{segment(ident)}",
            body=given(mode=mode, hear=hear, muted=muted, lead=lead),
        )

    async def delete(self, ident: str, /) -> Supervision:
        """Leave the call.

        The supervisor leaves, the call goes on. Answers the session as it ended.

        Refused, beside what any operation can be, with `supervision.unknown`, `supervision.not_yours`,
        `supervision.ended`, `pbx.refused`, `pbx.link_down`, `audit.unavailable`, `pbx.timeout`.
        """
        return await self._http.result(Supervision, "DELETE", f"/supervisions/{segment(ident)}")

    async def sheet(
        self,
        ident: str,
        /,
        *,
        agent: str | None = None,
        grades: Mapping[str, int | None] | None = None,
        text: str | None = None,
    ) -> Sheet:
        """Write the coaching sheet of a session.

        By the supervisor whose session it is, or was: live, or ended. `grades` are of the grid that the
        configuration gives, 1 to 5; what is left out is not graded. A session that followed several
        agents has a sheet for each: name the `agent`. The agent reads it.

        `agent`: Whom it is about, where the session followed several.

        `grades`: By a criterion's id of the grid: 1 to 5; null is not graded.

        Refused, beside what any operation can be, with `supervision.unknown`, `sheet.exists`,
        `coaching.unavailable`.
        """
        return await self._http.result(
            Sheet,
            "POST",
            f"/supervisions/{segment(ident)}/sheet",
            body=given(agent=agent, grades=grades, text=text),
        )


class TokensOperations:
    """Operations: tokens."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def list(self) -> TokenList:
        """The tokens.

        Those made at run time and those of ctid.toml, by name; of none what it is known by.
        """
        return await self._http.result(TokenList, "GET", "/tokens")

    async def create(
        self,
        *,
        name: str,
        role: UserRole | str,
        phones: Sequence[str] | None = None,
        teams: Sequence[str] | None = None,
        agent: str | None = None,
        scopes: Sequence[str] | None = None,
        expires: str | None = None,
    ) -> CreatedToken:
        """Make a token.

        The secret is in the answer, this once; ctid keeps a hash of it. `scopes` narrow what the role
        may do: operations by name, rooms of them as `calls.*`, `read` for whatever changes nothing,
        `events` for the stream. In force at once.

        `name`: Of nobody else.

        `agent`: Who its bearer is among the agents.

        `scopes`: Such as `read`, `calls.*` or `agents.pause`.

        `expires`: A date-time (RFC 3339); empty: never.

        Refused, beside what any operation can be, with `identity.name_taken`, `identity.unavailable`.
        """
        return await self._http.result(
            CreatedToken,
            "POST",
            "/tokens",
            body=given(
                name=name, role=role, phones=phones, teams=teams, agent=agent, scopes=scopes, expires=expires
            ),
        )

    async def revoke(self, ident: str, /) -> TokenInfo:
        """End a token.

        By its id or its name. In force at once; the streams that it opened are closed.

        Refused, beside what any operation can be, with `token.unknown`, `identity.configured`,
        `identity.unavailable`.
        """
        return await self._http.result(TokenInfo, "DELETE", f"/tokens/{segment(ident)}")


class UsersOperations:
    """Operations: users."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def list(self) -> UserList:
        """Those who log in.

        Everybody who has a password here, or a place for the OpenID provider's word.
        """
        return await self._http.result(UserList, "GET", "/users")

    async def create(
        self,
        *,
        name: str,
        role: UserRole | str,
        password: str | None = None,
        phones: Sequence[str] | None = None,
        teams: Sequence[str] | None = None,
        agent: str | None = None,
    ) -> UserInfo:
        """Add somebody who logs in.

        With a `password`, or without one for somebody whom the OpenID provider vouches for: her groups
        then say her role and teams, and this her phones and who she is among the agents.

        `name`: Of nobody else.

        `password`: 12 to 256 characters; empty: only by the OpenID provider.

        Refused, beside what any operation can be, with `auth.busy`, `identity.name_taken`,
        `identity.unavailable`.
        """
        return await self._http.result(
            UserInfo,
            "POST",
            "/users",
            body=given(name=name, role=role, password=password, phones=phones, teams=teams, agent=agent),
        )

    async def update(
        self,
        ident: str,
        /,
        *,
        role: UserRole | str | None = None,
        phones: Sequence[str] | None = None,
        teams: Sequence[str] | None = None,
        agent: str | None = None,
        disabled: bool | None = None,
    ) -> UserInfo:
        """Change what somebody may do, or let her in no more.

        What is not named stays. Her open streams are closed; `disabled` ends her sessions.

        Refused, beside what any operation can be, with `user.unknown`, `identity.unavailable`.
        """
        return await self._http.result(
            UserInfo,
            "PATCH",
            f"/users/{segment(ident)}",
            body=given(role=role, phones=phones, teams=teams, agent=agent, disabled=disabled),
        )

    async def password(self, ident: str, /, *, password: str) -> UserInfo:
        """Give somebody another password.

        Her sessions end.

        `password`: 12 to 256 characters, and not the name.

        Refused, beside what any operation can be, with `auth.busy`, `user.unknown`,
        `identity.unavailable`.
        """
        return await self._http.result(
            UserInfo, "POST", f"/users/{segment(ident)}/password", body=given(password=password)
        )

    async def remove(self, ident: str, /) -> UserInfo:
        """Take somebody out.

        With her sessions. What she did stays in the audit.

        Refused, beside what any operation can be, with `user.unknown`, `identity.unavailable`.
        """
        return await self._http.result(UserInfo, "DELETE", f"/users/{segment(ident)}")


class WebhooksOperations:
    """Operations: webhooks."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def list(self) -> WebhookList:
        """Webhooks.

        How each webhook of the configuration stands: what waits, what is dead, and why.
        """
        return await self._http.result(WebhookList, "GET", "/webhooks")

    def dead(self, ident: str, /, *, limit: int | None = None) -> Pages[DeadLetters, DeadLetter]:
        """The dead letters of a webhook.

        Events that its receiver refused, or did not take within a day; those that were given up first,
        first. What they say is not shown. While `next` is not null, ask again with it as `cursor`.

        `limit`: The most items to answer with.

        Refused, beside what any operation can be, with `webhook.unknown`, `webhooks.unavailable`.
        """
        return Pages(self._http, DeadLetters, f"/webhooks/{segment(ident)}/dead", given(limit=limit))

    async def retry(self, ident: str, /, *, events: Sequence[str] | None = None) -> Retried:
        """Send dead letters again.

        All, or those of `events`, wait again behind what waits already, with their ids. A webhook that
        is disabled since its receiver answered 410 is enabled.

        `events`: Ids of events; left out: all dead letters.

        Refused, beside what any operation can be, with `webhook.unknown`, `webhooks.unavailable`.
        """
        return await self._http.result(
            Retried, "POST", f"/webhooks/{segment(ident)}/retry", body=given(events=events)
        )

    async def test(self, ident: str, /) -> Tested:
        """Send a test event.

        An event `ctid.webhook.test` that says nothing is sent at once, whatever waits, and what was
        answered is told. It is not tried again.

        Refused, beside what any operation can be, with `webhook.unknown`.
        """
        return await self._http.result(Tested, "POST", f"/webhooks/{segment(ident)}/test", body=given())


class Operations:
    """Every operation, by what it is about."""

    def __init__(self, http: Http) -> None:
        self.agents = AgentsOperations(http)
        self.audit = AuditOperations(http)
        self.calls = CallsOperations(http)
        self.devices = DevicesOperations(http)
        self.draw = DrawOperations(http)
        self.figures = FiguresOperations(http)
        self.ghosts = GhostsOperations(http)
        self.help = HelpOperations(http)
        self.pbxs = PbxsOperations(http)
        self.periods = PeriodsOperations(http)
        self.queues = QueuesOperations(http)
        self.recordings = RecordingsOperations(http)
        self.retention = RetentionOperations(http)
        self.session = SessionOperations(http)
        self.sheets = SheetsOperations(http)
        self.status = StatusOperations(http)
        self.subjects = SubjectsOperations(http)
        self.supervisions = SupervisionsOperations(http)
        self.tokens = TokensOperations(http)
        self.users = UsersOperations(http)
        self.webhooks = WebhooksOperations(http)

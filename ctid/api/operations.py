"""The one table of operations; HTTP, WebSocket and every other carrier bring requests to it.

An operation's parameters are one flat object, whatever carries them: over HTTP the names in the path
come from the path, the others from the query (GET, DELETE) or from the body (POST, PATCH).
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from ctid.agents.service import CommandedAgent
from ctid.api import agents, auditing, calls, coaching, figures, hands, law, listing, supervising, truth
from ctid.api.context import ApiContext
from ctid.api.status import Status, StatusRequest, get_status
from ctid.api.views import (
    COMMANDING_ROLES,
    EVERY_ROLE,
    FIGURES_ROLES,
    FLOOR_ROLES,
    OWN_ROLES,
    SUPERVISING_ROLES,
)
from ctid.audit.retention import PurgeReport
from ctid.audit.subjects import ErasureReport, SubjectDocument
from ctid.audit.verifying import Verification
from ctid.calls.words import CommandedCall, SentMessage
from ctid.coaching.sheets import Sheet
from ctid.history.figures import Figures
from ctid.model.entities import Agent, Call, Device, Help, Queue, Supervision
from ctid.model.errors import SupervisionRefused
from ctid.model.users import User, UserRole
from ctid.supervision.requests import StartRequest

BASE = "/api/v1"

# Each handler takes the request of its own operation's `params`; the table pairs the two.
Handler = Callable[[ApiContext, User, Any], Awaitable[Struct]]
Refusal = tuple[str, int]
"""A code and its HTTP status."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing a client can ask for. `refusals` are those beyond what any operation can answer."""

    name: str
    summary: str
    description: str
    method: str
    path: str
    """Beneath `BASE`."""
    params: type[Struct]
    result: type[Struct]
    roles: frozenset[UserRole]
    handler: Handler
    status: int = 200
    refusals: tuple[Refusal, ...] = ()
    example: Mapping[str, Any] | None = None
    """A good body, to begin with; of an operation without one, good parameters of its path."""

    @property
    def path_params(self) -> tuple[str, ...]:
        """The parameters that the path holds."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    @property
    def is_command(self) -> bool:
        """Whether it is to change something, rather than to read."""
        return self.method != "GET"

    @property
    def has_body(self) -> bool:
        """Whether HTTP carries the parameters in a body."""
        return self.method in ("POST", "PATCH")


def _refused(status: int, *codes: str) -> tuple[Refusal, ...]:
    return tuple((code, status) for code in codes)


def _not_supervised(*reasons: str) -> tuple[Refusal, ...]:
    refused = [SupervisionRefused(reason, "") for reason in reasons]
    return tuple((error.code, error.status) for error in refused)


_PBX = (
    *_refused(502, "pbx.refused"),
    *_refused(503, "pbx.link_down", "audit.unavailable"),
    *_refused(504, "pbx.timeout"),
)

_STARTED = (
    *_not_supervised(
        "no_live_call",
        "call_ended",
        "phone_not_allowed",
        "phone_unreachable",
        "phone_no_answer",
        "phone_busy",
        "already_active",
        "mode_not_possible",
        "not_leading",
        "pin_wrong",
        "takeover_failed",
        "not_active",
        "agent_protected",
        "outside_period",
        "quota_reached",
    ),
    *_PBX,
)

_COACHING = _refused(503, "coaching.unavailable")

_LISTING = (*_refused(503, "pbx.link_down"), *_refused(504, "pbx.timeout"))

_AGENT = (
    *_refused(404, "agent.unknown", "queue.unknown"),
    *_refused(502, "pbx.refused", "agent.partly_done"),
    *_refused(503, "pbx.link_down"),
    *_refused(504, "pbx.timeout"),
)

_AUDIT = _refused(503, "audit.unavailable")
_ACT = (
    *_refused(404, "call.unknown"),
    *_refused(502, "pbx.refused"),
    *_refused(503, "pbx.link_down"),
    *_refused(504, "pbx.timeout"),
)
_REACH = (
    *_refused(404, "agent.unknown"),
    *_refused(409, "agent.phone_unreachable"),
    *_refused(502, "pbx.refused"),
    *_refused(503, "pbx.link_down"),
    *_refused(504, "pbx.timeout"),
)

_ACTED = "Answers once the state shows it; `unconfirmed` says that it does not after 2 s."

_PROTECTED = (
    " For good: there is no way back for this call. Whatever records it is stopped, also what the PBX began "
    "by itself, and neither a recording nor a supervision of it can begin. The PBX keeps it with the call, "
    "so that it outlives ctid. The role agent may do so with her own calls."
)

_COMMANDED = (
    "May be asked again: what is so already is not done twice. Answers once the state shows it. When it is "
    "done in some queues only, the refusal `agent.partly_done` tells in `queues` which; look at her again."
)

_LIST = (
    "Answers one page in the order of ids. While `next` is not null, ask again with it as `cursor`; an "
    "entity that is there all the while is on exactly one page. "
)

_TABLE = (
    Operation(
        name="status.get",
        summary="The state of ctid itself",
        description="Version, boot id, whether it is ready, each link to a PBX, and the MQTT broker.",
        method="GET",
        path="/status",
        params=StatusRequest,
        result=Status,
        roles=FLOOR_ROLES,
        handler=get_status,
    ),
    Operation(
        name="agents.list",
        summary="Agents",
        description=_LIST + "Filters are combined: an agent must match all of them.",
        method="GET",
        path="/agents",
        params=listing.ListAgents,
        result=listing.AgentPage,
        roles=FLOOR_ROLES,
        handler=listing.list_agents,
    ),
    Operation(
        name="agents.get",
        summary="One agent",
        description="The agent as she is now.",
        method="GET",
        path="/agents/{id}",
        params=listing.ById,
        result=Agent,
        roles=OWN_ROLES,
        handler=listing.get_agent,
        refusals=_refused(404, "agent.unknown"),
    ),
    Operation(
        name="agents.login",
        summary="Log an agent in",
        description=(
            "Makes her a member of `queues`; left out, of those that the configuration gives her. A pause "
            "that holds in all her queues holds in the new ones too. " + _COMMANDED
        ),
        method="POST",
        path="/agents/{id}/login",
        params=agents.LogIn,
        example={"queues": ["support"]},
        result=CommandedAgent,
        roles=COMMANDING_ROLES,
        handler=agents.log_in,
        refusals=_AGENT,
    ),
    Operation(
        name="agents.logout",
        summary="Log an agent out",
        description=(
            "Ends her membership of `queues`, or of all; a call that she is in goes on. The PBX refuses it "
            "where she is a member by its own configuration. " + _COMMANDED
        ),
        method="POST",
        path="/agents/{id}/logout",
        params=agents.LogOut,
        example={},
        result=CommandedAgent,
        roles=COMMANDING_ROLES,
        handler=agents.log_out,
        refusals=_AGENT,
    ),
    Operation(
        name="agents.pause",
        summary="Pause an agent, or change the reason of her pause",
        description=(
            "`queues`, or all of hers, offer her no more calls. A call that she is in, or that rings at "
            "her, goes on; until it is over, and her after-call work with it, `pending` is `not_ready`. "
            + _COMMANDED
        ),
        method="POST",
        path="/agents/{id}/pause",
        params=agents.Pause,
        example={"reason": "lunch"},
        result=CommandedAgent,
        roles=COMMANDING_ROLES,
        handler=agents.pause,
        refusals=(*_AGENT, *_refused(409, "agent.logged_out", "agent.not_a_member")),
    ),
    Operation(
        name="agents.resume",
        summary="End an agent's pause",
        description=(
            "In `queues`, or in all of hers. After-call work goes on, unless the pause that ends is the one "
            "by which ctid enforces it. " + _COMMANDED
        ),
        method="POST",
        path="/agents/{id}/resume",
        params=agents.Resume,
        example={},
        result=CommandedAgent,
        roles=COMMANDING_ROLES,
        handler=agents.resume,
        refusals=(*_AGENT, *_refused(409, "agent.logged_out", "agent.not_a_member")),
    ),
    Operation(
        name="agents.end_after_call_work",
        summary="End an agent's after-call work",
        description=(
            "Where it is enforced, her pause for it ends too. Good as well when she does none: then nothing "
            "changes."
        ),
        method="POST",
        path="/agents/{id}/end-after-call-work",
        params=agents.EndAfterCallWork,
        example={},
        result=CommandedAgent,
        roles=COMMANDING_ROLES,
        handler=agents.end_after_call_work,
        refusals=_refused(404, "agent.unknown"),
    ),
    Operation(
        name="agents.extend_after_call_work",
        summary="Give an agent more time for after-call work",
        description="Its end comes `seconds` later than it would have, and at most an hour from now.",
        method="POST",
        path="/agents/{id}/extend-after-call-work",
        params=agents.ExtendAfterCallWork,
        example={"seconds": 60},
        result=CommandedAgent,
        roles=COMMANDING_ROLES,
        handler=agents.extend_after_call_work,
        refusals=(*_refused(404, "agent.unknown"), *_refused(409, "agent.not_in_after_call_work")),
    ),
    Operation(
        name="agents.message",
        summary="Send a text to an agent",
        description=(
            "To her phone as a SIP MESSAGE (RFC 3428), and as the event `agent.message` on the broker and on "
            "event streams. The answer says by which ways it went; whether she read it nobody tells."
        ),
        method="POST",
        path="/agents/{id}/message",
        params=calls.Message,
        example={"text": "Please take line 2 first"},
        result=SentMessage,
        roles=SUPERVISING_ROLES,
        handler=calls.send_message,
        refusals=_REACH,
    ),
    Operation(
        name="agents.story",
        summary="Why an agent is in her state",
        description=(
            "The agent, and the last facts that bore on her, oldest first: when the PBX says each happened, "
            "its own name of the event, what it told that was new, and her state after it. It begins when "
            "ctid does, and holds no callers' numbers."
        ),
        method="GET",
        path="/agents/{id}/story",
        params=listing.ById,
        result=truth.AgentStory,
        roles=OWN_ROLES,
        handler=truth.get_story,
        refusals=_refused(404, "agent.unknown"),
    ),
    Operation(
        name="agents.sessions",
        summary="The sessions about an agent",
        description=(
            "Who listened to her, when, in which modes, why, and whether she was told, from the audit; the "
            "newest first. For the agent herself, and for who has the right `audit` over her team. While "
            "`next` is not null, ask again with it as `cursor`."
        ),
        method="GET",
        path="/agents/{id}/sessions",
        params=law.SessionsRequest,
        result=law.SessionsPage,
        roles=EVERY_ROLE,
        handler=law.list_sessions,
        refusals=(*_refused(404, "agent.unknown"), *_refused(503, "audit.unavailable")),
    ),
    Operation(
        name="periods.get",
        summary="When agents may be listened to",
        description=(
            "The listening periods of each team, how its agents are told that they are listened to, and the "
            "bounds in force: what the agents are to know. Outside of them listening is refused, but for an "
            "emergency that is explained, and for help that the agent asked for."
        ),
        method="GET",
        path="/periods",
        params=law.PeriodsRequest,
        result=law.PeriodsNow,
        roles=EVERY_ROLE,
        handler=law.get_periods,
    ),
    Operation(
        name="draw.get",
        summary="Draw an agent to listen to",
        description=(
            "At random among those of a team who are logged in, and whom law and rights let you listen to "
            "now, spread over those who have been listened to least this week. The seed is in ctid's log."
        ),
        method="GET",
        path="/draw",
        params=law.DrawRequest,
        result=law.Drawn,
        roles=SUPERVISING_ROLES,
        handler=law.draw_agent,
        refusals=_not_supervised("outside_period", "nobody_to_draw"),
    ),
    Operation(
        name="agents.help",
        summary="Raise an agent's hand",
        description=(
            "She asks a supervisor for help, in the call that she is in. An agent raises her own; one that "
            "is up already is answered as it is. It ends when a supervisor has been there, when it is "
            "withdrawn, with the call, or by itself at `expires_at`."
        ),
        method="POST",
        path="/agents/{id}/help",
        params=hands.RaiseHand,
        example={"text": "He wants to speak to my boss"},
        result=Help,
        roles=hands.ROLES,
        handler=hands.raise_hand,
        status=201,
        refusals=_refused(404, "agent.unknown"),
    ),
    Operation(
        name="help.list",
        summary="Raised hands",
        description=_LIST + "An agent sees her own.",
        method="GET",
        path="/help",
        params=hands.ListHands,
        result=hands.HelpPage,
        roles=hands.ROLES,
        handler=hands.list_hands,
    ),
    Operation(
        name="help.get",
        summary="One raised hand",
        description="As it is now; one that is down is unknown. An agent sees her own.",
        method="GET",
        path="/help/{id}",
        params=listing.ById,
        result=Help,
        roles=hands.ROLES,
        handler=hands.get_hand,
        refusals=_refused(404, "help.unknown"),
    ),
    Operation(
        name="help.withdraw",
        summary="Take a raised hand down",
        description="An agent her own. A session that it led to goes on. Answers it as it ended.",
        method="DELETE",
        path="/help/{id}",
        params=listing.ById,
        result=Help,
        roles=hands.ROLES,
        handler=hands.withdraw_hand,
        refusals=_refused(404, "help.unknown"),
    ),
    Operation(
        name="help.claim",
        summary="Answer a raised hand: step into the agent's call",
        description=(
            "Begins a session with her as `supervisions.create` does, for the purpose `assistance`, and "
            "answers with it. While your phone rings the raised hand is yours: whoever comes second is told "
            "who has it. If the session cannot begin, it is up again."
        ),
        method="POST",
        path="/help/{id}/claim",
        params=hands.ClaimHelp,
        example={"via": {"phone": "2001"}, "mode": "listen"},
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=hands.claim_hand,
        status=201,
        refusals=(*_refused(404, "help.unknown"), *_refused(409, "help.already_claimed"), *_STARTED),
    ),
    Operation(
        name="ghosts.list",
        summary="What the PBX does not bear out",
        description=(
            "Agents, phones and calls of which the PBX's lists contradict each other or what is known, in "
            "snapshots at least five seconds apart, and those whose link is down."
        ),
        method="GET",
        path="/ghosts",
        params=truth.GhostsRequest,
        result=truth.Ghosts,
        roles=SUPERVISING_ROLES,
        handler=truth.list_ghosts,
    ),
    Operation(
        name="pbxs.reconcile",
        summary="Compare what is known with the PBX's own lists",
        description=(
            "Takes a snapshot and answers once it is in force, with every difference between what had been "
            "told and what the PBX lists; the PBX is believed. Requests that come together share a snapshot."
        ),
        method="POST",
        path="/pbxs/{id}/reconcile",
        params=truth.ReconcileRequest,
        example={},
        result=truth.Reconciled,
        roles=SUPERVISING_ROLES,
        handler=truth.reconcile,
        refusals=(*_refused(404, "pbx.unknown"), *_LISTING),
    ),
    Operation(
        name="queues.list",
        summary="Queues",
        description=_LIST + "Each with who waits, in order, and how its members stand.",
        method="GET",
        path="/queues",
        params=listing.ListQueues,
        result=listing.QueuePage,
        roles=FLOOR_ROLES,
        handler=listing.list_queues,
    ),
    Operation(
        name="queues.get",
        summary="One queue",
        description="The queue as it is now.",
        method="GET",
        path="/queues/{id}",
        params=listing.ById,
        result=Queue,
        roles=FLOOR_ROLES,
        handler=listing.get_queue,
        refusals=_refused(404, "queue.unknown"),
    ),
    Operation(
        name="calls.list",
        summary="Live calls",
        description=_LIST
        + "The roles viewer and integrator see callers' numbers masked, and no `supervisions`.",
        method="GET",
        path="/calls",
        params=listing.ListCalls,
        result=listing.CallPage,
        roles=FLOOR_ROLES,
        handler=listing.list_calls,
    ),
    Operation(
        name="calls.get",
        summary="One live call",
        description="The call as it is now; one that has ended is unknown. Masked as in the list.",
        method="GET",
        path="/calls/{id}",
        params=listing.ById,
        result=Call,
        roles=FLOOR_ROLES,
        handler=listing.get_call,
        refusals=_refused(404, "call.unknown"),
    ),
    Operation(
        name="calls.create",
        summary="Call a number with an agent's phone",
        description=(
            "Her phone rings; once she answers, the number is dialled as if she had, in the dialplan context "
            "of the configuration. Answers with the call once her phone rings. She must be free."
        ),
        method="POST",
        path="/calls",
        params=calls.Dial,
        example={"agent": "1001", "number": "80003001"},
        result=CommandedCall,
        roles=SUPERVISING_ROLES,
        handler=calls.dial,
        status=201,
        refusals=(*_REACH, *_refused(403, "call.number_not_allowed"), *_refused(409, "agent.not_free")),
    ),
    Operation(
        name="calls.hang_up",
        summary="Hang up a call, or one party of it",
        description="The agent's side first, so that a queue counts the call as ended by it. " + _ACTED,
        method="POST",
        path="/calls/{id}/hangup",
        params=calls.HangUp,
        example={},
        result=CommandedCall,
        roles=SUPERVISING_ROLES,
        handler=calls.hang_up,
        refusals=_ACT,
    ),
    Operation(
        name="calls.transfer",
        summary="Send a call on",
        description=(
            "The customer goes on at `to`, and the agent is released: her queue counts it as a transfer. A "
            "call that waits in a queue leaves it. " + _ACTED
        ),
        method="POST",
        path="/calls/{id}/transfer",
        params=calls.Transfer,
        example={"to": {"queue": "sales"}},
        result=CommandedCall,
        roles=SUPERVISING_ROLES,
        handler=calls.transfer,
        refusals=(
            *_ACT,
            *_refused(403, "call.number_not_allowed"),
            *_refused(404, "queue.unknown"),
            *_refused(409, "call.not_possible", "call.ended"),
        ),
    ),
    Operation(
        name="calls.prioritize",
        summary="Move a waiting call up",
        description=(
            "To `position` in its queue; the others keep their order. Only up: a call that is there, or "
            "before it, stays. " + _ACTED
        ),
        method="POST",
        path="/calls/{id}/priority",
        params=calls.Prioritize,
        example={"position": 1},
        result=CommandedCall,
        roles=SUPERVISING_ROLES,
        handler=calls.prioritize,
        refusals=(*_ACT, *_refused(409, "call.not_waiting")),
    ),
    Operation(
        name="calls.record",
        summary="Record a call: start, stop, pause, resume",
        description=(
            "The PBX keeps the audio of the agent's conversation, until she leaves it; no supervisor is "
            "heard in it. While it is paused it keeps silence. A start needs a `basis`, which the index of "
            "recordings keeps. A stop ends every recording of the call, also those that the PBX began by "
            "itself. " + _ACTED
        ),
        method="POST",
        path="/calls/{id}/recording",
        params=calls.Record,
        example={"action": "start", "basis": "training, with the customer's consent"},
        result=CommandedCall,
        roles=SUPERVISING_ROLES,
        handler=calls.record,
        refusals=(
            *_ACT,
            *_refused(
                409,
                "call.private",
                "call.objected",
                "call.no_agent",
                "call.not_recorded",
                "call.not_possible",
                "call.ended",
            ),
            *_refused(503, "recordings.unavailable"),
        ),
    ),
    Operation(
        name="calls.private",
        summary="Make a call private",
        description="It is not listened to or recorded from now on." + _PROTECTED,
        method="POST",
        path="/calls/{id}/private",
        params=calls.Flag,
        example={},
        result=CommandedCall,
        roles=SUPERVISING_ROLES | {UserRole.AGENT},
        handler=calls.set_private,
        refusals=(*_ACT, *_refused(409, "call.ended")),
    ),
    Operation(
        name="calls.objected",
        summary="Note that the customer objects",
        description="To being listened to or recorded." + _PROTECTED,
        method="POST",
        path="/calls/{id}/objected",
        params=calls.Flag,
        example={},
        result=CommandedCall,
        roles=SUPERVISING_ROLES | {UserRole.AGENT},
        handler=calls.set_objected,
        refusals=(*_ACT, *_refused(409, "call.ended")),
    ),
    Operation(
        name="recordings.list",
        summary="Recordings that ctid had made",
        description=(
            "The newest first: who was recorded, by whom, why and when, and the file's name on the PBX. ctid "
            "keeps no audio. While `next` is not null, ask again with it as `cursor`."
        ),
        method="GET",
        path="/recordings",
        params=calls.ListRecordings,
        result=calls.RecordingPage,
        roles=SUPERVISING_ROLES,
        handler=calls.list_recordings,
        refusals=_refused(503, "recordings.unavailable"),
    ),
    Operation(
        name="devices.list",
        summary="Phones",
        description=_LIST,
        method="GET",
        path="/devices",
        params=listing.ListDevices,
        result=listing.DevicePage,
        roles=FLOOR_ROLES,
        handler=listing.list_devices,
    ),
    Operation(
        name="devices.get",
        summary="One phone",
        description="The device as it is now.",
        method="GET",
        path="/devices/{id}",
        params=listing.ById,
        result=Device,
        roles=FLOOR_ROLES,
        handler=listing.get_device,
        refusals=_refused(404, "device.unknown"),
    ),
    Operation(
        name="figures.get",
        summary="Figures of queues and agents",
        description=(
            "Of a period: since midnight where ctid runs, unless it is given. Each figure's formula is in "
            "`formulas`; a rate of nothing is null. `gaps` are times that ctid did not see; those that are "
            "`filled` are in the figures, from the PBX's own log. Each figure opens into its moments."
        ),
        method="GET",
        path="/figures",
        params=figures.GetFigures,
        result=Figures,
        roles=FIGURES_ROLES,
        handler=figures.get_figures,
        refusals=_refused(503, "history.unavailable"),
    ),
    Operation(
        name="figures.calls",
        summary="The moments behind a figure",
        description=(
            "In the order of time, with the caller's leg, the PBX's own unique id; no number and no name is "
            "kept. `source` says whether ctid saw it (`event`) or the PBX's log told it (`log`). While "
            "`next` is not null, ask again with it as `cursor`."
        ),
        method="GET",
        path="/figures/calls",
        params=figures.ListMoments,
        result=figures.MomentPage,
        roles=FLOOR_ROLES,
        handler=figures.list_moments,
        refusals=_refused(503, "history.unavailable"),
    ),
    Operation(
        name="supervisions.list",
        summary="Live supervision sessions",
        description=_LIST,
        method="GET",
        path="/supervisions",
        params=listing.ListSupervisions,
        result=listing.SupervisionPage,
        roles=SUPERVISING_ROLES,
        handler=listing.list_supervisions,
    ),
    Operation(
        name="supervisions.get",
        summary="One live supervision session",
        description="The session as it is now; one that has ended is unknown.",
        method="GET",
        path="/supervisions/{id}",
        params=listing.ById,
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=listing.get_supervision,
        refusals=_refused(404, "supervision.unknown"),
    ),
    Operation(
        name="supervisions.create",
        summary="Step into a live call",
        description=(
            "Rings the supervisor's phone and answers once she is in the call, in the mode asked for; that "
            "takes as long as she takes to answer. Name an `agent` or a `call`. A phone in `via` is a name "
            "that the configuration allows her, never a number to dial. The scope `next` is answered at "
            "once, and rings as the agent's next call begins; with `agent` she waits, her phone up, while "
            "there is no call. When it is refused, nothing is left ringing."
        ),
        method="POST",
        path="/supervisions",
        params=StartRequest,
        example={"agent": "1001", "mode": "listen", "via": {"phone": "2001"}, "purpose": "quality"},
        result=law.WarnedSupervision,
        roles=SUPERVISING_ROLES,
        handler=supervising.create_supervision,
        status=201,
        refusals=(
            *_refused(404, "agent.unknown", "call.unknown"),
            *_STARTED,
        ),
    ),
    Operation(
        name="supervisions.update",
        summary="Switch who hears the supervisor, and whom she hears",
        description=(
            "Only what is given changes. Answers once it is in force; there is no new ring and no gap in "
            "what she hears. `takeover` leaves the customer with her and releases the agent; if a step of "
            "it fails, the customer keeps the agent. `handback` rings the agent, returns the customer to her "
            "and ends the session; he stays with the supervisor if she does not answer. Of several sessions "
            "in a call only the leading one may be heard: `lead` takes the lead from one that listens."
        ),
        method="PATCH",
        path="/supervisions/{id}",
        params=supervising.UpdateSupervision,
        example={"mode": "whisper"},
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=supervising.update_supervision,
        refusals=(
            *_refused(404, "supervision.unknown"),
            *_not_supervised(
                "not_yours",
                "not_active",
                "ended",
                "call_ended",
                "mode_not_possible",
                "not_leading",
                "takeover_failed",
                "agent_not_free",
                "agent_unreachable",
                "agent_no_answer",
                "agent_protected",
                "outside_period",
                "quota_reached",
            ),
            *_PBX,
        ),
    ),
    Operation(
        name="supervisions.delete",
        summary="Leave the call",
        description="The supervisor leaves, the call goes on. Answers the session as it ended.",
        method="DELETE",
        path="/supervisions/{id}",
        params=listing.ById,
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=supervising.delete_supervision,
        refusals=(
            *_refused(404, "supervision.unknown"),
            *_not_supervised("not_yours", "ended"),
            *_PBX,
        ),
    ),
    Operation(
        name="audit.list",
        summary="Who listened to whom, and what else is accounted for",
        description=(
            "Records in the order in which they were written; that they were read is recorded as well. While "
            "`next` is not null, ask again with it as `cursor`; what is written meanwhile is on no page."
        ),
        method="GET",
        path="/audit",
        params=auditing.ListAudit,
        result=auditing.AuditPage,
        roles=auditing.ROLES,
        handler=auditing.list_audit,
        refusals=_AUDIT,
    ),
    Operation(
        name="audit.verify",
        summary="Whether the audit is as it was written",
        description=(
            "Reads all of it. A record that was edited, taken out, put in or moved is in `findings`, with "
            "its number, file and line. Give an `anchor` that was kept elsewhere: whoever could write all "
            "of the files anew could not make that hash anew."
        ),
        method="GET",
        path="/audit/verification",
        params=auditing.VerifyAudit,
        result=Verification,
        roles=auditing.ROLES,
        handler=auditing.verify_audit,
        refusals=_AUDIT,
    ),
    Operation(
        name="retention.purge",
        summary="Take out what has been kept long enough",
        description=(
            "As ctid does once a day by itself, by the configuration's `[retention]` and `[history]`. In a "
            "`dry_run` nothing is taken out. The audit says what was, and its chain still holds."
        ),
        method="POST",
        path="/retention/purge",
        params=auditing.Purge,
        example={"dry_run": True},
        result=PurgeReport,
        roles=auditing.ROLES,
        handler=auditing.purge,
    ),
    Operation(
        name="subjects.export",
        summary="All that is kept about a person",
        description=(
            "`kind` is `agent`, or `number`: a telephone number's digits, which are looked for in what "
            "people wrote, however they are grouped there. Each class of what is kept has a list."
        ),
        method="GET",
        path="/subjects/{kind}/{id}",
        params=auditing.BySubject,
        example={"kind": "agent", "id": "1001"},
        result=SubjectDocument,
        roles=auditing.ROLES,
        handler=auditing.export_subject,
        refusals=(*_AUDIT, *_refused(503, "history.unavailable")),
    ),
    Operation(
        name="subjects.erase",
        summary="Erase what may be erased of a person",
        description=(
            "What was written about her goes; who listened when, which the law has to be kept, stays, and "
            "the report says so by class. In a `dry_run` nothing is erased."
        ),
        method="DELETE",
        path="/subjects/{kind}/{id}",
        params=auditing.EraseSubject,
        example={"kind": "agent", "id": "1001"},
        result=ErasureReport,
        roles=auditing.ROLES,
        handler=auditing.erase_subject,
        refusals=(*_AUDIT, *_refused(503, "history.unavailable")),
    ),
    Operation(
        name="supervisions.sheet",
        summary="Write the coaching sheet of a session",
        description=(
            "By the supervisor whose session it is, or was: live, or ended. `grades` are of the grid that "
            "the configuration gives, 1 to 5; what is left out is not graded. A session that followed "
            "several agents has a sheet for each: name the `agent`. The agent reads it."
        ),
        method="POST",
        path="/supervisions/{id}/sheet",
        params=coaching.WriteSheet,
        example={"grades": {"greeting": 4, "listening": 5}, "text": "Let him finish his sentence."},
        result=Sheet,
        roles=SUPERVISING_ROLES,
        handler=coaching.write_sheet,
        status=201,
        refusals=(
            *_refused(404, "supervision.unknown"),
            *_refused(409, "sheet.exists"),
            *_COACHING,
        ),
    ),
    Operation(
        name="sheets.list",
        summary="Coaching sheets",
        description=(
            "The newest first: those that you have written, that are about you, or about agents of teams "
            "over which you have the right `audit`. While `next` is not null, ask again with it as `cursor`."
        ),
        method="GET",
        path="/sheets",
        params=coaching.ListSheets,
        result=coaching.SheetPage,
        roles=hands.ROLES,
        handler=coaching.list_sheets,
        refusals=_COACHING,
    ),
    Operation(
        name="sheets.get",
        summary="One coaching sheet",
        description=(
            "For its author, the agent it is about, and who has the right `audit` over her team; to anybody "
            "else it is unknown."
        ),
        method="GET",
        path="/sheets/{id}",
        params=listing.ById,
        result=Sheet,
        roles=hands.ROLES,
        handler=coaching.get_sheet,
        refusals=(*_refused(404, "sheet.unknown"), *_COACHING),
    ),
    Operation(
        name="sheets.versions",
        summary="Every version of a coaching sheet",
        description="The oldest first, the present one last; for those who may read the sheet.",
        method="GET",
        path="/sheets/{id}/versions",
        params=listing.ById,
        result=coaching.SheetVersions,
        roles=hands.ROLES,
        handler=coaching.get_versions,
        refusals=(*_refused(404, "sheet.unknown"), *_COACHING),
    ),
    Operation(
        name="sheets.update",
        summary="Mend a coaching sheet",
        description=(
            "By its author, until `editable_until`. What is left out stays; a grade of null takes it away. "
            "Every version is kept."
        ),
        method="PATCH",
        path="/sheets/{id}",
        params=coaching.UpdateSheet,
        example={"grades": {"closing": 3}},
        result=Sheet,
        roles=SUPERVISING_ROLES,
        handler=coaching.update_sheet,
        refusals=(*_refused(404, "sheet.unknown"), *_refused(409, "sheet.closed"), *_COACHING),
    ),
    Operation(
        name="sheets.comment",
        summary="Answer a coaching sheet",
        description="By the agent it is about; a second answer takes the first one's place, which is kept.",
        method="POST",
        path="/sheets/{id}/comment",
        params=coaching.CommentSheet,
        example={"text": "He had called three times before."},
        result=Sheet,
        roles=frozenset({UserRole.AGENT}),
        handler=coaching.comment_sheet,
        refusals=(*_refused(404, "sheet.unknown"), *_COACHING),
    ),
)

OPERATIONS = MappingProxyType({operation.name: operation for operation in _TABLE})
"""Every operation by its name."""

"""Operations: agents, seen and commanded."""

from ctid.agents.service import CommandedAgent
from ctid.api import agents, calls, listing, truth
from ctid.api.operations.operation import LIST, REACH, Idempotency, Operation, refused
from ctid.calls.words import SentMessage
from ctid.model.entities import Agent
from ctid.model.users import COMMANDING_ROLES, FLOOR_ROLES, OWN_ROLES, SUPERVISING_ROLES

_AGENT = (
    *refused(404, "agent.unknown", "queue.unknown"),
    *refused(502, "pbx.refused", "agent.partly_done"),
    *refused(503, "pbx.link_down"),
    *refused(504, "pbx.timeout"),
)

_COMMANDED = (
    "May be asked again: what is so already is not done twice. Answers once the state shows it. When it is "
    "done in some queues only, the refusal `agent.partly_done` tells in `queues` which; look at her again."
)

TABLE = (
    Operation(
        name="agents.list",
        summary="Agents",
        description=LIST + "Filters are combined: an agent must match all of them.",
        method="GET",
        path="/agents",
        idempotency=Idempotency.SAFE,
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
        idempotency=Idempotency.SAFE,
        params=listing.ById,
        result=Agent,
        roles=OWN_ROLES,
        handler=listing.get_agent,
        refusals=refused(404, "agent.unknown"),
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
        idempotency=Idempotency.IDEMPOTENT,
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
        idempotency=Idempotency.IDEMPOTENT,
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
        idempotency=Idempotency.IDEMPOTENT,
        params=agents.Pause,
        example={"reason": "lunch"},
        result=CommandedAgent,
        roles=COMMANDING_ROLES,
        handler=agents.pause,
        refusals=(*_AGENT, *refused(409, "agent.logged_out", "agent.not_a_member")),
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
        idempotency=Idempotency.IDEMPOTENT,
        params=agents.Resume,
        example={},
        result=CommandedAgent,
        roles=COMMANDING_ROLES,
        handler=agents.resume,
        refusals=(*_AGENT, *refused(409, "agent.logged_out", "agent.not_a_member")),
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
        idempotency=Idempotency.IDEMPOTENT,
        params=agents.EndAfterCallWork,
        example={},
        result=CommandedAgent,
        roles=COMMANDING_ROLES,
        handler=agents.end_after_call_work,
        refusals=refused(404, "agent.unknown"),
    ),
    Operation(
        name="agents.extend_after_call_work",
        summary="Give an agent more time for after-call work",
        description="Its end comes `seconds` later than it would have, and at most an hour from now.",
        method="POST",
        path="/agents/{id}/extend-after-call-work",
        idempotency=Idempotency.BY_KEY,
        params=agents.ExtendAfterCallWork,
        example={"seconds": 60},
        result=CommandedAgent,
        roles=COMMANDING_ROLES,
        handler=agents.extend_after_call_work,
        refusals=(*refused(404, "agent.unknown"), *refused(409, "agent.not_in_after_call_work")),
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
        idempotency=Idempotency.BY_KEY,
        params=calls.Message,
        example={"text": "Please take line 2 first"},
        result=SentMessage,
        roles=SUPERVISING_ROLES,
        handler=calls.send_message,
        refusals=REACH,
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
        idempotency=Idempotency.SAFE,
        params=listing.ById,
        result=truth.AgentStory,
        roles=OWN_ROLES,
        handler=truth.get_story,
        refusals=refused(404, "agent.unknown"),
    ),
)

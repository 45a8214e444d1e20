"""Step into a live call of the demo by the API, switch, leave, and see each time who hears whom."""

import asyncio
import time
from typing import Any

import msgspec

from ctid.cli.documents import act, get, listed
from ctid.client import Client, Refused
from ctid.client.http import segment
from ctid.model.words import CallState, Mode, Role
from lab.errors import LabError
from lab.pictures import Picture
from lab.stage import Watcher

SUPERVISOR = "2001"
FIND_SECONDS = 30.0
_OVER = ("supervision.no_live_call", "supervision.call_ended", "call.unknown")
_LEAD_S = 0.3
"""A gap is looked for from so long before the switch."""


class Trial(msgspec.Struct, frozen=True):
    """A picture, the session that it was taken in, and what was asked of ctid: request -> seconds."""

    picture: Picture
    session: str
    call: str
    asked: dict[str, float]


async def try_mode(api: Client, stage: Watcher, mode: Mode) -> Trial:
    """Bring the supervisor's phone into `mode`, in the call that she listens to, else in any; then look.

    A call that she took over is hers for good: she ends it, and steps into another.

    Raises:
        LabError: within 30 s there was no call to step into.
        Refused: ctid refused.
    """
    asked: dict[str, float] = {}
    session = await _session(api)
    if session is not None and session["mode"] == Mode.TAKEOVER:
        await _timed(asked, api, "DELETE", f"/supervisions/{segment(session['id'])}")
        session = None
    if session is None:
        session, agent, customer = await _begin(api, stage, mode, asked)
        return Trial(await stage.look(mode, agent, customer, None), session["id"], session["call"], asked)
    agent, customer = session["agent"], await _customer_of(api, session["call"])
    # As it is a session's, the call is left alone already; this only says so earlier.
    await stage.keep(agent, customer)
    before = time.monotonic() - _LEAD_S
    path = f"/supervisions/{segment(session['id'])}"
    await _timed(asked, api, "PATCH", path, {"mode": str(mode)})
    return Trial(await stage.look(mode, agent, customer, before), session["id"], session["call"], asked)


async def leave(api: Client) -> bool:
    """End the session of the supervisor's phone; False where there was none."""
    session = await _session(api)
    if session is None:
        return False
    await act(api, "DELETE", f"/supervisions/{segment(session['id'])}")
    return True


async def _session(api: Client) -> dict[str, Any] | None:
    sessions, _ = await listed(api, "/supervisions")
    return next((session for session in sessions if session["phone"] == SUPERVISOR), None)


async def _begin(
    api: Client, stage: Watcher, mode: Mode, asked: dict[str, float]
) -> tuple[dict[str, Any], str, str]:
    """Start a session in a call that its two parties go on with; gives it with the agent and the customer."""
    deadline = time.monotonic() + FIND_SECONDS
    refusal = ""
    while time.monotonic() < deadline:
        calls, _ = await listed(api, "/calls", state=str(CallState.CONNECTED))
        for call in calls:
            agent, customer = _number(call, Role.AGENT), _number(call, Role.CUSTOMER)
            if not agent or not customer or call["supervisions"] or not await stage.keep(agent, customer):
                continue
            body = {
                "call": call["id"],
                "mode": str(mode),
                "via": {"phone": SUPERVISOR},
                "purpose": "training",
                "note": "the lab's demo",
            }
            try:
                return await _timed(asked, api, "POST", "/supervisions", body), agent, customer
            except Refused as problem:
                if problem.code not in _OVER:
                    raise
                asked.clear()
                refusal = str(problem)
        await asyncio.sleep(0.3)
    raise LabError(f"no call to step into within {FIND_SECONDS:.0f} s; {refusal or 'is the demo going on?'}")


async def _customer_of(api: Client, call: str) -> str:
    return _number(await get(api, f"/calls/{segment(call)}"), Role.CUSTOMER)


def _number(call: dict[str, Any], role: Role) -> str:
    """The number of the one party in a role, an agent's id; empty where there is none, or more than one."""
    parties = [party for party in call["parties"] if party["role"] == role]
    if len(parties) != 1:
        return ""
    return str((parties[0].get("agent") if role is Role.AGENT else None) or parties[0].get("number") or "")


async def _timed(
    asked: dict[str, float], api: Client, method: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    began = time.monotonic()
    document = await act(api, method, path, body)
    mode = f" {body['mode']}" if body else ""
    asked[f"{method}{mode}"] = time.monotonic() - began
    return document

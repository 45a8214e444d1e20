"""Agents reached: a call on their behalf, and a text."""

from collections.abc import Awaitable

import pytest

from ctid.model.commands import DialForAgent, SendMessage
from ctid.model.entities import Call
from ctid.model.errors import CtidError, PbxRefused
from ctid.model.facts import DeviceChanged, DeviceInfo
from ctid.model.ids import AgentId, DeviceId
from ctid.model.words import DeviceState, Registration
from ctid.state.changes import Occurrence
from helpers.acts_desk import LAB, SOFIA, ActsDesk
from helpers.floor import BASE

ALICE, BRUNO = AgentId("1001"), AgentId("1002")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not happen is not waited for in seconds."""
    monkeypatch.setattr("ctid.calls.outreach.SETTLE_S", 0.1)


async def refused(step: Awaitable[object]) -> str:
    """The code with which a step is refused."""
    with pytest.raises(CtidError) as told:
        await step
    return told.value.code


async def test_dial(desk: ActsDesk) -> None:
    """Her phone is rung, and the call is there; it bears the leg that was asked for."""
    call: Call = (await desk.outreach.dial(SOFIA, BRUNO, "0123456789")).call
    (command,) = desk.pbx.commands
    assert isinstance(command, DialForAgent)
    assert (command.agent, command.device, command.number) == ("1002", "1002", "0123456789")
    assert (command.context, command.address) == ("from-internal", None)
    assert [party.leg for party in call.parties] == [command.leg]
    assert desk.told[0].particulars == {"number": "0123456789"}
    assert desk.told[0].agent == "1002"


async def test_who_is_not_dialled(desk: ActsDesk) -> None:
    """Nobody, who talks, whose phone is away, a number that may not be; and one who is rung in vain."""
    assert await refused(desk.outreach.dial(SOFIA, AgentId("4711"), "1001")) == "agent.unknown"
    assert await refused(desk.outreach.dial(SOFIA, ALICE, "1002")) == "agent.not_free"
    assert await refused(desk.outreach.dial(SOFIA, BRUNO, "0033")) == "call.number_not_allowed"
    assert await refused(desk.outreach.dial(SOFIA, BRUNO, "1001&1002")) == "request.invalid"
    assert desk.pbx.commands == []
    desk.pbx.mute = {DialForAgent}
    assert await refused(desk.outreach.dial(SOFIA, BRUNO, "1001")) == "agent.phone_unreachable"


async def test_a_text(desk: ActsDesk) -> None:
    """To her phone, and told to whoever follows."""
    following = desk.hub.subscribe("test")
    sent = await desk.outreach.message(SOFIA, BRUNO, "line 2 first")
    assert (sent.sip, sent.mqtt, sent.reason) == (True, True, "")
    (command,) = desk.pbx.commands
    assert isinstance(command, SendMessage)
    assert (command.device, command.text, command.sender) == ("1002", "line 2 first", "ctid")
    told = await following.next()
    assert isinstance(told, Occurrence)
    assert (told.name, told.agent, told.by, told.text) == ("agent_message", BRUNO, "sofia", "line 2 first")
    assert desk.told[0].particulars == {}, "the text is in no audit"


async def test_one_way_alone(desk: ActsDesk) -> None:
    """Without a broker, without a phone: the answer says which, and why; without both it is refused."""
    desk.broker = False
    sent = await desk.outreach.message(SOFIA, BRUNO, "x")
    assert (sent.sip, sent.mqtt, sent.reason) == (True, False, "no broker is connected")
    desk.pbx.fails = {SendMessage: PbxRefused("not allowed")}
    assert await refused(desk.outreach.message(SOFIA, BRUNO, "x")) == "pbx.refused"
    desk.broker = True
    sent = await desk.outreach.message(SOFIA, BRUNO, "x")
    assert (sent.sip, sent.mqtt, sent.reason) == (False, True, "not allowed")
    away = DeviceInfo(
        id=DeviceId("1002"), state=DeviceState.UNAVAILABLE, registration=Registration.UNREGISTERED
    )
    await desk.feed(DeviceChanged(pbx=LAB, at=BASE, device=away))
    sent = await desk.outreach.message(SOFIA, BRUNO, "x")
    assert (sent.sip, sent.reason) == (False, "1002 has no phone that is registered")
    assert await refused(desk.outreach.message(SOFIA, BRUNO, "a\nb")) == "request.invalid"
    assert await refused(desk.outreach.message(SOFIA, AgentId("4711"), "x")) == "agent.unknown"

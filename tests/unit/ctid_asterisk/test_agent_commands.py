"""Commands to agents, against a PBX that answers as Asterisk 22 does."""

from collections.abc import Callable

import pytest

from ctid.model.commands import AgentCommand, LogInAgent, LogOutAgent, PauseAgent, ResumeAgent
from ctid.model.errors import PbxRefused
from ctid.model.ids import AgentId, QueueId
from ctid_asterisk.actions import Action
from ctid_asterisk.agent_commands import AgentCommands
from ctid_asterisk.outs import Reply
from ctid_asterisk.roster import Roster
from ctid_asterisk.wire import Message
from helpers.ami_words import member_event, member_item, message

ALICE, SUPPORT = AgentId("1001"), QueueId("support")
PAUSE = PauseAgent(agent=ALICE, queue=SUPPORT, reason="lunch")


class Pbx:
    """What was asked of it, and what it answers: yes, unless told otherwise."""

    def __init__(self, *items: Message) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.says: dict[str, str] = {}
        self.roster = Roster()
        self.roster.replace_present([message("QueueParams", Queue="support"), *items])

    async def act(self, build: Callable[[], Action]) -> Reply:
        """Answer an action."""
        action = build()
        self.asked.append((action.name, dict(action.fields)))
        error = self.says.get(action.name)
        kind = "Success" if error is None else "Error"
        response = Message.build(("Response", kind), ("Message", error or "done"))
        return Reply("1", response, ok=error is None)

    async def run(self, command: AgentCommand) -> list[tuple[str, dict[str, str]]]:
        """Carry out a command; returns what was asked for it."""
        self.asked.clear()
        await AgentCommands(self.act, self.roster).execute(command)
        return self.asked


async def test_log_in_who_was_never_seen() -> None:
    """By her address, or else as a phone of her number."""
    pbx = Pbx()
    ((name, fields),) = await pbx.run(LogInAgent(agent=ALICE, queue=SUPPORT, name="Alice"))
    assert (name, fields["Interface"], fields["MemberName"]) == ("QueueAdd", "PJSIP/1001", "Alice")
    assert (fields["Paused"], fields["Penalty"], "StateInterface" in fields) == ("false", "0", False)
    ((_, fields),) = await pbx.run(LogInAgent(agent=ALICE, queue=SUPPORT, address="SIP/x", penalty=2))
    assert (fields["Interface"], fields["Penalty"]) == ("SIP/x", "2")


async def test_log_in_who_was_there_before() -> None:
    """Her interface, its state interface, name and penalty are kept, from this queue or another."""
    before = {"Interface": "Local/1001@from-queue/n", "StateInterface": "hint:1001@ext-local", "Penalty": "4"}
    pbx = Pbx()
    pbx.roster.read(member_event("QueueMemberAdded", **before))
    pbx.roster.read(member_event("QueueMemberRemoved", **before))
    ((_, fields),) = await pbx.run(LogInAgent(agent=ALICE, queue=SUPPORT, address="PJSIP/9"))
    assert fields["Interface"] == before["Interface"]
    assert fields["StateInterface"] == before["StateInterface"]
    assert (fields["Penalty"], fields["MemberName"]) == ("4", "Alice Martin")


async def test_log_in_is_idempotent() -> None:
    """Who is a member stays one; so does who has become one meanwhile."""
    assert await Pbx(member_item()).run(LogInAgent(agent=ALICE, queue=SUPPORT)) == []
    pbx = Pbx()
    pbx.says["QueueAdd"] = "Unable to add interface: Already there"
    assert len(await pbx.run(LogInAgent(agent=ALICE, queue=SUPPORT))) == 1


async def test_log_in_paused() -> None:
    """With the reason in a second action, as the first one takes none; who is in is paused."""
    login = LogInAgent(agent=ALICE, queue=SUPPORT, paused=True, reason="late")
    added, paused = await Pbx().run(login)
    assert (added[0], added[1]["Paused"]) == ("QueueAdd", "true")
    assert (paused[0], paused[1]["Reason"], paused[1]["Interface"]) == ("QueuePause", "late", "PJSIP/1001")
    ((name, _),) = await Pbx(member_item()).run(login)
    assert name == "QueuePause"
    assert len(await Pbx().run(LogInAgent(agent=ALICE, queue=SUPPORT, paused=True))) == 1


async def test_log_out() -> None:
    """Of all her interfaces; who is not in is out."""
    pbx = Pbx(member_item(), member_item(Interface="Local/1001@x/n"))
    asked = await pbx.run(LogOutAgent(agent=ALICE, queue=SUPPORT))
    assert [(name, f["Interface"]) for name, f in asked] == [
        ("QueueRemove", "PJSIP/1001"),
        ("QueueRemove", "Local/1001@x/n"),
    ]
    pbx.says["QueueRemove"] = "Unable to remove interface: Not there"
    await pbx.run(LogOutAgent(agent=ALICE, queue=SUPPORT))
    assert await Pbx().run(LogOutAgent(agent=ALICE, queue=SUPPORT)) == []


async def test_a_static_member_stays() -> None:
    """The refusal says what she is, and what to do."""
    pbx = Pbx(member_item())
    pbx.says["QueueRemove"] = "Member not dynamic"
    with pytest.raises(PbxRefused, match=r"static member of the queue 'support' \(queues.conf.*pause her"):
        await pbx.run(LogOutAgent(agent=ALICE, queue=SUPPORT))


async def test_pause_and_resume() -> None:
    """What is so already is not asked for; another reason is."""
    pbx = Pbx(member_item())
    ((name, fields),) = await pbx.run(PAUSE)
    assert (name, fields["Paused"], fields["Reason"], fields["Queue"]) == (
        "QueuePause",
        "true",
        "lunch",
        "support",
    )
    assert await pbx.run(ResumeAgent(agent=ALICE, queue=SUPPORT)) == []
    pbx.roster.read(member_event("QueueMemberPause", Paused="1", PausedReason="lunch"))
    assert await pbx.run(PAUSE) == []
    ((_, fields),) = await pbx.run(PauseAgent(agent=ALICE, queue=SUPPORT, reason="training"))
    assert fields["Reason"] == "training"
    ((_, fields),) = await pbx.run(ResumeAgent(agent=ALICE, queue=SUPPORT))
    assert fields["Paused"] == "false"


@pytest.mark.parametrize("command", [PAUSE, ResumeAgent(agent=ALICE, queue=SUPPORT)])
async def test_who_is_no_member_cannot_be_paused(command: AgentCommand) -> None:
    """The refusal says so."""
    with pytest.raises(PbxRefused, match="no member of the queue 'support': log her in first"):
        await Pbx().run(command)


async def test_a_queue_that_is_not_there() -> None:
    """Named as it was asked for."""
    with pytest.raises(PbxRefused, match="no queue 'nowhere'"):
        await Pbx().run(LogOutAgent(agent=ALICE, queue=QueueId("nowhere")))


@pytest.mark.parametrize(
    ("action", "command"),
    [
        ("QueueAdd", LogInAgent(agent=AgentId("1002"), queue=SUPPORT)),
        ("QueueRemove", LogOutAgent(agent=ALICE, queue=SUPPORT)),
        ("QueuePause", PAUSE),
    ],
)
async def test_a_user_who_may_not(action: str, command: AgentCommand) -> None:
    """The refusal names the class that is missing."""
    pbx = Pbx(member_item())
    pbx.says[action] = "Permission denied"
    with pytest.raises(PbxRefused, match="Permission denied; the AMI user needs `agent` among its `write`"):
        await pbx.run(command)
    pbx.says[action] = "Out of memory"
    with pytest.raises(PbxRefused, match=r"Out of memory$"):
        await pbx.run(command)

"""The part of take-over and hand-back that goes over AMI, against servers on loopback."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from ctid.model.commands import HandBack, SupervisionCommand, TakeOver
from ctid.model.errors import CtidError
from ctid.model.facts import LegChanged, LegEnded, SupervisionChanged
from ctid.model.ids import AgentId, LegId, SupervisionId
from ctid.model.words import Mode, SupervisionEnd, SupervisionState
from ctid.tasks import TaskOwner
from ctid_asterisk import handover, parts
from helpers.ami_server import CLOSE, AmiServer, ami_server, answer, listing
from helpers.ami_words import Channel, caller, dialled, member_item, message
from helpers.ari_server import PHONE, AriServer, ari_server, with_ari
from helpers.driver_play import Connected, connected, soon
from helpers.patience import until

NEAR, FAR = "1795409488.17", "1795409488.18"
HER_NAME, HIS_NAME = "PJSIP/2001-00000003", "PJSIP/3001-00000001"
SESSION_ID = SupervisionId("s1")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soon(monkeypatch)
    monkeypatch.setattr(handover, "CONFIRM_S", 0.1)
    monkeypatch.setattr(handover, "PACKETS_S", 0.001)
    monkeypatch.setattr(handover, "JOIN_S", 0.3)
    monkeypatch.setattr(parts, "JOIN_S", 0.3)
    return iter((None,))


@pytest.fixture
async def ami() -> AsyncIterator[AmiServer]:
    """A scripted Asterisk."""
    async with ami_server() as server:
        yield server


@pytest.fixture
async def ari() -> AsyncIterator[AriServer]:
    """An ARI on a free port."""
    async with ari_server() as server:
        yield server


def hers(bridge: str) -> Channel:
    """The supervisor's channel."""
    channel = Channel(HER_NAME, PHONE, state="6")
    channel.bridge = bridge
    return channel


def his(bridge: str) -> Channel:
    """The customer's."""
    channel = caller(HIS_NAME, NEAR, "7000", state="6", queue="support")
    channel.bridge = bridge
    return channel


def enters(channel: Channel, bridge: str, ami: AmiServer) -> None:
    """A channel goes from its bridge into another."""
    if channel.bridge:
        ami.tell(message("BridgeLeave", channel.block(), BridgeUniqueid=channel.bridge))
    ami.tell(message("BridgeEnter", channel.block(), BridgeUniqueid=bridge, BridgeTechnology="simple_bridge"))


async def refused(it: Connected, command: SupervisionCommand) -> str:
    """The code with which it is refused."""
    with pytest.raises(CtidError) as error:
        await it.connection.execute(command)
    return error.value.code


@asynccontextmanager
async def asking(it: Connected, command: SupervisionCommand) -> AsyncIterator[list[str]]:
    """A command under way while the body runs; afterwards, the code with which it was refused, or none."""
    owner, codes = TaskOwner(), list[str]()

    async def run() -> None:
        try:
            await it.connection.execute(command)
        except CtidError as error:
            codes.append(error.code)
        else:
            codes.append("")

    owner.spawn("command", run())
    yield codes
    await until(lambda: bool(codes))
    await owner.close()


class TestTakeOver:
    """The customer goes to the supervisor."""

    COMMAND = TakeOver(supervision=SESSION_ID, customer=LegId(NEAR), agent=LegId(FAR))

    @pytest.fixture
    async def talking(self, ami: AmiServer, ari: AriServer) -> AsyncIterator[Connected]:
        """A call with a session that listens to it."""
        far = dialled("PJSIP/1001-00000002", FAR, NEAR, state="6")
        far.bridge = "b1"
        there = (his("b1").item(), far.item(), hers("ctid-ctid.s1").item())
        ami.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", *there)
        ari.has_session()
        async with connected(ami, **with_ari(ari)) as it:
            await it.has(SupervisionChanged)
            yield it

    async def test_the_agent_is_transferred_by_her_whole_name(
        self, talking: Connected, ami: AmiServer
    ) -> None:
        """Setvar of whom to join, whom to ring back, where to wait; then BlindTransfer into the context."""
        async with asking(talking, self.COMMAND) as codes:
            await until(lambda: ami.count("BlindTransfer") == 1)
            (transfer,) = [fields for fields in ami.asked if fields["action"] == "BlindTransfer"]
            assert (transfer["channel"], transfer["context"]) == ("PJSIP/1001-00000002", "ctid-takeover")
            assert transfer["exten"] == "s1"
            backs = [f for f in ami.asked if f["action"] == "Setvar" and "channel" in f]
            assert {back["channel"] for back in backs} == {HIS_NAME}
            assert [(back["variable"], back["value"]) for back in backs] == [
                ("CTID_JOIN", HER_NAME),
                ("CTID_AGENT_BACK", "PJSIP/1001"),
                ("CTID_QUEUE_BACK", "support"),
            ]
            enters(his("b1"), "b2", ami)
            enters(hers("ctid-ctid.s1"), "b2", ami)
        assert codes == [""]
        await until(lambda: talking.of(SupervisionChanged)[-1].supervision.state is SupervisionState.ACTIVE)
        assert talking.of(SupervisionChanged)[-1].supervision.mode is Mode.TAKEOVER

    async def test_a_customer_who_never_comes(self, talking: Connected) -> None:
        """Accepted, and not carried out in its time: he is not said to be hers."""
        assert await refused(talking, self.COMMAND) == "supervision.takeover_failed"
        assert talking.of(SupervisionChanged)[-1].supervision.mode is not Mode.TAKEOVER

    async def test_a_customer_who_hangs_up_on_the_way(self, talking: Connected, ami: AmiServer) -> None:
        """He is not waited for."""
        async with asking(talking, self.COMMAND) as codes:
            await until(lambda: ami.count("BlindTransfer") == 1)
            ami.tell(message("Hangup", his("").block(), Cause="16"))
        assert codes == ["supervision.takeover_failed"]

    async def test_without_audio_nobody_is_moved(
        self, talking: Connected, ami: AmiServer, ari: AriServer
    ) -> None:
        """The counts of packets stand still."""
        ari.silent = True
        assert await refused(talking, self.COMMAND) == "supervision.takeover_failed"
        assert ami.count("BlindTransfer") == 0

    async def test_a_context_that_is_not_there(self, talking: Connected, ami: AmiServer) -> None:
        """Nobody is moved into a dialplan that would drop him."""
        ami.says["ShowDialPlan"] = answer("Message: Did not find context", status="Error")
        assert await refused(talking, self.COMMAND) == "pbx.refused"
        assert ami.count("BlindTransfer") == 0

    async def test_a_transfer_that_is_refused(self, talking: Connected, ami: AmiServer) -> None:
        """The PBX says no."""
        ami.says["BlindTransfer"] = answer("Message: Transfer failed", status="Error")
        assert await refused(talking, self.COMMAND) == "pbx.refused"

    async def test_a_customer_who_is_gone(self, talking: Connected, ami: AmiServer) -> None:
        """The PBX does not know his channel."""
        ami.says["Setvar"] = answer("Message: No such channel", status="Error")
        assert await refused(talking, self.COMMAND) == "supervision.call_ended"

    async def test_two_who_no_longer_talk(self, talking: Connected, ami: AmiServer) -> None:
        """The driver knows it before it asks."""
        ami.tell(message("Hangup", dialled("PJSIP/1001-00000002", FAR, NEAR).block(), Cause="16"))
        await talking.has(LegEnded)
        assert await refused(talking, self.COMMAND) == "supervision.call_ended"
        assert ami.count("ShowDialPlan") == 0

    async def test_a_link_that_is_lost_meanwhile(self, talking: Connected, ami: AmiServer) -> None:
        """Whoever waits for an answer is told, and so is whoever asks later."""
        ami.says["Setvar"] = lambda _: CLOSE
        assert await refused(talking, self.COMMAND) == "pbx.link_down"
        assert await refused(talking, self.COMMAND) == "pbx.link_down"

    async def test_a_connection_that_is_closed_meanwhile(self, talking: Connected, ami: AmiServer) -> None:
        """The same, when it is we who end it; an answer that comes after that is nobody's."""
        ami.says["Setvar"] = lambda _: ""
        async with asking(talking, self.COMMAND) as codes:
            await until(lambda: any("channel" in f for f in ami.asked if f["action"] == "Setvar"))
            await talking.connection.close()
        assert codes == ["pbx.link_down"]


class TestHandBack:
    """The customer returns to the agent."""

    COMMAND = HandBack(supervision=SESSION_ID, agent=AgentId("1001"), ring_s=0.2)

    @pytest.fixture
    async def taken(self, ami: AmiServer, ari: AriServer) -> AsyncIterator[Connected]:
        """A customer who was taken over, and an agent who is a member of a queue."""
        there = (his("b2").item(), hers("b2").item())
        ami.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", *there)
        ami.says["QueueStatus"] = listing(
            "QueueStatusComplete",
            message("QueueParams", Queue="support"),
            member_item(Interface="Local/1001@from-queue/n"),
        )
        ari.has_session(customer=NEAR)
        async with connected(ami, **with_ari(ari)) as it:
            await it.has(SupervisionChanged)
            assert it.of(SupervisionChanged)[0].supervision.mode is Mode.TAKEOVER
            yield it

    def rung(self, ari: AriServer) -> tuple[str, dict[str, str]]:
        """The channel of the agent who was rung, and how."""
        number = next(i for i, asked in enumerate(ari.asked) if asked.startswith("POST channels/back-"))
        return ari.asked[number].removeprefix("POST channels/"), ari.queries[number]

    @pytest.mark.parametrize("address", [None, "PJSIP/1001"])
    async def test_the_agent_is_rung_and_joined(
        self, taken: Connected, ami: AmiServer, ari: AriServer, address: str | None
    ) -> None:
        """By the address that the configuration has, else by the one that her queue dials."""
        command = HandBack(supervision=SESSION_ID, agent=AgentId("1001"), address=address, ring_s=5.0)
        async with asking(taken, command) as codes:
            await until(lambda: any("back-" in asked for asked in ari.asked))
            unique, query = self.rung(ari)
            assert query["endpoint"] == (address or "Local/1001@from-queue/n")
            assert (query["context"], query["extension"]) == ("ctid-handback", "s1")
            back = Channel("PJSIP/1001-00000009", unique, state="6")
            ami.tell(message("Newchannel", back.block()))
            enters(his("b2"), "b3", ami)
            enters(back, "b3", ami)
        assert codes == [""]
        await until(lambda: taken.of(SupervisionChanged)[-1].supervision.end is SupervisionEnd.HANDED_BACK)

    async def test_an_agent_who_does_not_answer(self, taken: Connected, ari: AriServer) -> None:
        """She is not rung any longer, and the customer stays."""
        assert await refused(taken, self.COMMAND) == "supervision.agent_no_answer"
        unique, _ = self.rung(ari)
        assert f"DELETE channels/{unique}" in ari.asked
        await until(lambda: taken.of(SupervisionChanged)[-1].supervision.state is SupervisionState.ACTIVE)

    async def test_an_agent_who_hangs_up(self, taken: Connected, ami: AmiServer, ari: AriServer) -> None:
        """It is known at once, and not after the time that she may ring."""
        command = HandBack(supervision=SESSION_ID, agent=AgentId("1001"), ring_s=60.0)
        async with asking(taken, command) as codes:
            await until(lambda: any("back-" in asked for asked in ari.asked))
            back = Channel("PJSIP/1001-00000009", self.rung(ari)[0], state="5")
            legs = len(taken.of(LegChanged))
            ami.tell(message("Newchannel", back.block()))
            await taken.has(LegChanged, legs + 1)
            ami.tell(message("Hangup", back.block(), Cause="21"))
        assert codes == ["supervision.agent_no_answer"]

    async def test_an_agent_whom_nobody_can_dial(self, taken: Connected, ari: AriServer) -> None:
        """She is in no queue, and the configuration does not say: nobody is rung."""
        command = HandBack(supervision=SESSION_ID, agent=AgentId("1099"), ring_s=1.0)
        assert await refused(taken, command) == "supervision.agent_unreachable"
        assert not any("back-" in asked for asked in ari.asked)

    async def test_a_context_that_is_not_there(
        self, taken: Connected, ami: AmiServer, ari: AriServer
    ) -> None:
        """No agent is rung to be dropped."""
        ami.says["ShowDialPlan"] = answer("Message: Did not find context", status="Error")
        assert await refused(taken, self.COMMAND) == "pbx.refused"
        assert not any("back-" in asked for asked in ari.asked)

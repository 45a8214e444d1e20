"""ARI beside AMI: its link, and the commands of supervision, against servers on loopback."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ctid.clock import SystemClock
from ctid.model.capabilities import Capability
from ctid.model.commands import (
    EndSupervision,
    FollowSupervision,
    GiveNotice,
    HandBack,
    KeepSupervision,
    StartSupervision,
    SwitchSupervision,
)
from ctid.model.errors import CtidError
from ctid.model.facts import LinkUp, Snapshot, SupervisionChanged
from ctid.model.ids import AgentId, LegId, SupervisionId
from ctid.model.words import Mode, SnapshotReason, SupervisionEnd, SupervisionState
from ctid_asterisk import supervising
from ctid_asterisk.driver import AsteriskConnection
from helpers.ami_server import AmiServer, ami_server, answer, listing
from helpers.ami_words import PBX, Channel
from helpers.ari_server import AT, PHONE, SESSION, SNOOP, AriServer, ari_server, with_ari
from helpers.driver_play import WITHOUT_ARI, Connected, connected, driver, owned, soon
from helpers.patience import until

NEAR, FAR = "1795409488.17", "1795409488.18"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soon(monkeypatch)
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


class TestAri:
    """ARI beside AMI."""

    async def test_with_it_calls_can_be_supervised(self, ami: AmiServer, ari: AriServer) -> None:
        """And an end of a session that is none is refused by its name."""
        async with connected(ami, **with_ari(ari)) as it:
            assert {Capability.SUPERVISE, Capability.TAKE_OVER} <= it.connection.capabilities
            for command in (
                EndSupervision(supervision=SupervisionId("s9")),
                SwitchSupervision(supervision=SupervisionId("s9"), mode=Mode.BARGE),
                FollowSupervision(supervision=SESSION, target=LegId("1.4")),
                KeepSupervision(supervision=SESSION),
                HandBack(supervision=SupervisionId("s9"), agent=AgentId("1"), address="PJSIP/1", ring_s=1.0),
            ):
                with pytest.raises(CtidError) as refused:
                    await it.connection.execute(command)
                assert refused.value.code == "supervision.unknown"

    async def test_a_notice_is_sounded_to_the_agent_alone(self, ami: AmiServer, ari: AriServer) -> None:
        """By a snoop channel that hears nothing, and is hung up after it."""
        async with connected(ami, **with_ari(ari)) as it:
            await it.connection.execute(GiveNotice(target=LegId("1.4")))
        snoop = next(number for number, asked in enumerate(ari.asked) if "/snoop/" in asked)
        assert (ari.queries[snoop]["spy"], ari.queries[snoop]["whisper"]) == ("none", "out")
        notice = ari.asked[snoop].rpartition("/")[2]
        assert ari.asked[snoop + 1 :] == [
            f"POST channels/{notice}/play/{notice}",
            f"DELETE channels/{notice}",
        ]

    async def test_the_first_snapshot_holds_the_sessions_found(self, ami: AmiServer, ari: AriServer) -> None:
        """Link, snapshot, and only then the facts of sessions."""
        ari.has_session()
        async with connected(ami, **with_ari(ari)) as it:
            await it.has(SupervisionChanged)
            assert [type(fact) for fact in it.facts] == [LinkUp, Snapshot, SupervisionChanged]
            assert [session.id for session in it.of(Snapshot)[0].supervisions] == ["s1"]

    async def test_a_session_that_ends_before_the_first_snapshot(self, ami: AmiServer) -> None:
        """Its end is told before the snapshot, which does not have it, and nothing of it comes after."""
        other = replace(SESSION, id=SupervisionId("s2"))
        ended = replace(SESSION, state=SupervisionState.ENDED)
        items = ami.says["CoreShowChannels"]

        def meanwhile(fields: dict[str, str]) -> str:
            for session in (SESSION, other, ended):
                made.connection._tell(SupervisionChanged(pbx=PBX, at=AT, supervision=session))
            return items(fields)

        ami.says["CoreShowChannels"] = meanwhile
        made = Connected(AsteriskConnection(PBX, driver(ami.port)._settings, SystemClock()))
        async with owned(made):
            await made.connection.open()
            await made.has(SupervisionChanged, 2)
        told = [fact for fact in made.facts if isinstance(fact, Snapshot | SupervisionChanged)]
        assert [type(fact) for fact in told] == [SupervisionChanged, Snapshot, SupervisionChanged]
        sessions = [fact.supervision for fact in told if isinstance(fact, SupervisionChanged)]
        assert [(s.id, s.state) for s in sessions] == [(SESSION.id, ended.state), (other.id, SESSION.state)]

    async def test_without_it_the_floor_is_seen(self, ami: AmiServer, ari: AriServer) -> None:
        """A wrong password, or none there: the snapshot comes, and a command is refused with the cure."""
        ari.status = 401
        async with connected(ami, **with_ari(ari)) as it:
            await it.has(Snapshot)
            assert it.connection.capabilities == WITHOUT_ARI
            with pytest.raises(CtidError) as refused:
                await it.connection.execute(EndSupervision(supervision=SupervisionId("s1")))
            assert refused.value.code == "pbx.link_down"
            assert "ctid.toml" in refused.value.detail
            ari.status = 200
            await until(lambda: Capability.SUPERVISE in it.connection.capabilities)

    async def test_down_and_up_again(self, ami: AmiServer, ari: AriServer) -> None:
        """The session goes on without us, a snapshot meanwhile holds it, and it is taken up again."""
        ari.has_session()
        async with connected(ami, **with_ari(ari)) as it:
            await it.has(SupervisionChanged)
            ari.status = 503
            await ari.cut()
            await until(lambda: Capability.SUPERVISE not in it.connection.capabilities)
            await it.connection.resync(SnapshotReason.REQUEST)
            await it.has(Snapshot, 2)
            assert [session.id for session in it.of(Snapshot)[1].supervisions] == ["s1"]
            ari.status = 200
            await until(lambda: Capability.SUPERVISE in it.connection.capabilities)
            await it.has(SupervisionChanged, 2)
            assert it.of(SupervisionChanged)[1].supervision.state is SupervisionState.ACTIVE

    async def test_a_session_that_ended_while_it_was_down(self, ami: AmiServer, ari: AriServer) -> None:
        """It is told as lost, once."""
        ari.has_session()
        async with connected(ami, **with_ari(ari)) as it:
            await it.has(SupervisionChanged)
            ari.channels, ari.bridges = [], []
            await ari.cut()
            await it.has(SupervisionChanged, 2)
            lost = it.of(SupervisionChanged)[1].supervision
            assert (lost.state, lost.end) == (SupervisionState.ENDED, SupervisionEnd.LOST)
            await until(lambda: len(ari.sockets) == 1)
            await ari.cut()
            await until(lambda: len(ari.sockets) == 1)
            assert len(it.of(SupervisionChanged)) == 2

    async def test_a_start_that_fails_is_told(self, ami: AmiServer, ari: AriServer) -> None:
        """A command reaches ARI, and what becomes of it comes out of the facts."""
        async with connected(ami, **with_ari(ari)) as it:
            ari.status = 500
            command = StartSupervision(
                supervision=SESSION, address="PJSIP/2001", target=LegId("1.4"), ring_s=1.0
            )
            with pytest.raises(CtidError) as refused:
                await it.connection.execute(command)
            assert refused.value.code == "pbx.refused"
            await it.has(SupervisionChanged, 2)
            assert it.of(SupervisionChanged)[1].supervision.end is SupervisionEnd.FAILED

    async def test_a_snapshot_without_it_does_not_say_that_there_are_no_sessions(
        self, ami: AmiServer, ari: AriServer
    ) -> None:
        """They are not known before it has answered; when it has, a snapshot tells them."""
        ari.has_session()
        ari.status = 503
        async with connected(ami, **with_ari(ari)) as it:
            await it.has(Snapshot)
            assert it.of(Snapshot)[0].supervisions is None
            ari.status = 200
            await it.has(Snapshot, 2)
            assert [session.id for session in it.of(Snapshot)[1].supervisions] == ["s1"]
            assert len(it.of(Snapshot)) == 2

    async def test_without_it_there_are_no_sessions(self, ami: AmiServer) -> None:
        """Where it is not configured, none can be."""
        async with connected(ami) as it:
            await it.has(Snapshot)
            assert it.of(Snapshot)[0].supervisions == ()

    async def test_another_program_takes_the_application(
        self, ami: AmiServer, ari: AriServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The log says so, and it is not taken back at once: two daemons would do nothing else."""
        monkeypatch.setattr(supervising, "ARI_REPLACED_S", 0.3)
        loop = asyncio.get_running_loop()
        with capture_logs() as logs:
            async with connected(ami, **with_ari(ari)) as it:
                (socket,) = ari.sockets
                began = loop.time()
                await socket.send_json({"type": "ApplicationReplaced", "application": "ctid"})
                await until(lambda: Capability.SUPERVISE not in it.connection.capabilities)
                await until(lambda: Capability.SUPERVISE in it.connection.capabilities)
                assert loop.time() - began >= 0.3
        assert any("took over the Stasis application" in str(entry.get("reason")) for entry in logs)


class TestKnownBad:
    """A version of Asterisk that is known to do harm to calls that are whispered into."""

    START = StartSupervision(
        supervision=replace(SESSION, mode=Mode.WHISPER), address="PJSIP/2001", target=LegId(NEAR), ring_s=0.1
    )
    FOLLOW = FollowSupervision(supervision=replace(SESSION, mode=Mode.WHISPER), target=LegId(NEAR))

    @pytest.mark.parametrize("allowed", [False, True])
    async def test_it_is_refused_unless_it_is_allowed(
        self, ami: AmiServer, ari: AriServer, *, allowed: bool
    ) -> None:
        """The log says so at the login, and the refusal names the issue and the cure."""
        switch = SwitchSupervision(supervision=SupervisionId("s9"), mode=Mode.BARGE)
        ami.says["CoreSettings"] = answer("AsteriskVersion: 22.11.0")
        with capture_logs() as logs:
            async with connected(ami, **with_ari(ari), allow_known_bad=allowed) as it:
                for command in (self.START, switch, self.FOLLOW):
                    with pytest.raises(CtidError) as refused:
                        await it.connection.execute(command)
                    assert ("#2134" in refused.value.detail) is not allowed
                    assert ("allow_known_bad = true" in refused.value.detail) is not allowed
        assert sum("#2134" in entry["event"] for entry in logs) == 1


class TestHangUp:
    """AMI hangs up what ARI does not."""

    NAME = "PJSIP/2001-00000003"

    @pytest.fixture
    async def listening(self, ami: AmiServer, ari: AriServer) -> AsyncIterator[Connected]:
        """A session of which AMI lists the phone and not the snoop channel, and an ARI that hangs up none."""
        ami.says["CoreShowChannels"] = listing(
            "CoreShowChannelsComplete", Channel(self.NAME, PHONE, state="6").item()
        )
        ari.has_session()
        ari.refused = {"DELETE"}
        async with connected(ami, **with_ari(ari)) as it:
            await it.has(SupervisionChanged)
            yield it

    END = EndSupervision(supervision=SupervisionId("s1"))

    @pytest.mark.parametrize("gone", [False, True])
    async def test_by_their_full_names(self, listening: Connected, ami: AmiServer, *, gone: bool) -> None:
        """Those that AMI has told of; one that is gone is hung up."""
        error = answer("Message: No such channel", status="Error")
        ami.says["Hangup"] = error if gone else answer("Message: Channel Hungup")
        await listening.connection.execute(self.END)
        asked = {fields["channel"] for fields in ami.asked if fields["action"] == "Hangup"}
        assert asked == {self.NAME, SNOOP}
        await listening.has(SupervisionChanged, 2)
        assert listening.of(SupervisionChanged)[1].supervision.end is SupervisionEnd.RELEASED

    async def test_a_user_who_may_not(self, listening: Connected, ami: AmiServer) -> None:
        """The session goes on, and is told so: nobody believes that she does not listen any more."""
        ami.says["Hangup"] = answer("Message: Permission denied", status="Error")
        with pytest.raises(CtidError) as refused:
            await listening.connection.execute(self.END)
        assert refused.value.code == "pbx.link_down"
        await listening.has(SupervisionChanged, 2)
        told = listening.of(SupervisionChanged)[1].supervision
        assert told.state is SupervisionState.ACTIVE
        await until(lambda: Capability.SUPERVISE in listening.connection.capabilities)

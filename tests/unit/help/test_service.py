import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ctid.audit.subjects import Subject, SubjectKind
from ctid.help.accounting import HandsAccount
from ctid.help.kept import FILE, HelpUnavailable, Kept
from ctid.model.commands import StartSupervision
from ctid.model.entities import Help
from ctid.model.errors import HelpRefused, InvalidRequest, NotFound, PbxRefused, SupervisionRefused
from ctid.model.facts import HelpAsked
from ctid.model.ids import AgentId, DeviceId, HelpId, LegId
from ctid.model.instant import Instant
from ctid.model.words import Carrier, HelpEnd, HelpState, Mode, Origin, Purpose, SupervisionState
from ctid.state.changes import Change
from ctid.supervision.requests import Via
from helpers.desk import LAB, PAUL, SOFIA
from helpers.floor import BASE
from helpers.help_desk import ANNA, HelpDesk
from helpers.patience import until

DESK, PAULS = Via(phone="desk"), Via(phone="paul's")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[HelpDesk]:
    """A desk at which agent 1001 talks with a customer."""
    async with HelpDesk(tmp_path) as desk:
        yield desk


def told_of(desk: HelpDesk) -> tuple[list[Help | None], Callable[[], Awaitable[None]]]:
    """What is told of raised hands from now on, filled by what is returned with it."""
    subscription = desk.hub.subscribe("test", kinds=frozenset({"help"}))
    told: list[Help | None] = []

    async def read() -> None:
        while not subscription._updates.empty():
            update = await subscription.next()
            assert isinstance(update, Change)
            assert isinstance(update.new, Help | None)
            told.append(update.new)

    return told, read


async def test_a_hand_is_up(desk: HelpDesk) -> None:
    """It is in the state and on the disk, with her conversation; asked again it is the same one."""
    told = await desk.raised("he shouts")
    assert (told.agent, told.team, told.call, told.by) == ("1001", "north", "lab.c1", Carrier.API)
    assert desk.hand(told.id) == told
    assert await desk.raised() == told
    again = await desk.raised("he insults me")
    assert (again.id, again.text) == (told.id, "he insults me")
    assert len(desk.hub.store.helps) == 1
    assert list(await desk.hands._kept.live()) == [again]


@pytest.mark.parametrize("text", ["x" * 201, "a\r\nb", "a\0b"])
async def test_unfit_texts(desk: HelpDesk, text: str) -> None:
    """A text that is too long, or has controls, is refused by its field; so is an agent who is not there."""
    with pytest.raises(InvalidRequest) as refused:
        await desk.raised(text)
    assert refused.value.field == "text"
    with pytest.raises(NotFound, match="no agent"):
        await desk.raised(agent="4711")
    assert desk.hub.store.helps == {}


async def test_a_code_of_the_pbx_raises_it(desk: HelpDesk) -> None:
    """By the phone that it came from; that of nobody who is an agent raises none."""
    for device in ("1001", "3001", None):
        phone = DeviceId(device) if device else None
        await desk.feed(HelpAsked(pbx=LAB, at=BASE, leg=LegId(f"x{device}"), device=phone))
    await until(lambda: len(desk.hub.store.helps) == 1)
    (told,) = desk.hub.store.helps.values()
    assert (told.agent, told.by, told.call) == ("1001", Carrier.FEATURE_CODE, "lab.c1")


async def test_a_claim_is_a_session_for_her(desk: HelpDesk) -> None:
    """It names the hand, and its purpose is assistance; the hand is down when the session has ended."""
    told, read = told_of(desk)
    hand = await desk.raised()
    desk.clock.at += 7.0
    session = await desk.hands.claim(SOFIA, hand.id, DESK, Mode.WHISPER)
    assert (session.origin, session.help, session.purpose) == (
        Origin.AGENT_REQUEST,
        hand.id,
        Purpose.ASSISTANCE,
    )
    assert (session.mode, session.agent) == (Mode.WHISPER, "1001")
    taken = desk.hand(hand.id)
    assert taken is not None
    assert (taken.state, taken.claimed_by, taken.wait_s) == (HelpState.CLAIMED, "sofia", 7.0)
    assert taken.supervision == session.id
    await desk.service.end(SOFIA, session.id)
    await until(lambda: desk.hand(hand.id) is None)
    await read()
    assert [one and one.state for one in told] == ["open", "claimed", "claimed", "ended", None]
    last = told[-2]
    assert last is not None
    assert (last.end, last.wait_s) == (HelpEnd.ANSWERED, 7.0)
    assert list(await desk.hands._kept.live()) == []
    assert [one.end for one in await desk.hands._kept.ended(AgentId("1001"))] == [HelpEnd.ANSWERED]


async def test_two_claims_at_once(desk: HelpDesk) -> None:
    """One wins; the other is told at once who has it, while the winner's phone still rings."""
    hand = await desk.raised()
    desk.pbx.rings = asyncio.get_running_loop().create_future()
    first = asyncio.ensure_future(desk.hands.claim(SOFIA, hand.id, DESK, Mode.LISTEN))  # noqa: TID251 - a client, in a test
    second = asyncio.ensure_future(desk.hands.claim(PAUL, hand.id, PAULS, Mode.LISTEN))  # noqa: TID251 - likewise
    with pytest.raises(HelpRefused, match="sofia has taken it"):
        await second
    assert not first.done()
    desk.pbx.rings.set_result(None)
    assert (await first).supervisor == "sofia"
    assert len(desk.sessions) == 1


async def test_a_claim_that_fails(desk: HelpDesk) -> None:
    """Her phone does not answer: the hand is up again, and the next one takes it."""
    hand = await desk.raised()
    desk.pbx.fails[StartSupervision] = SupervisionRefused("phone_no_answer", "nobody")
    with pytest.raises(SupervisionRefused, match="nobody"):
        await desk.hands.claim(SOFIA, hand.id, DESK, Mode.LISTEN)
    up = desk.hand(hand.id)
    assert up is not None
    assert (up.state, up.claimed_by, up.wait_s) == (HelpState.OPEN, "", None)
    desk.pbx.fails.clear()
    assert (await desk.hands.claim(PAUL, hand.id, PAULS, Mode.LISTEN)).supervisor == "paul"
    with pytest.raises(NotFound):
        await desk.hands.claim(PAUL, HelpId("none"), PAULS, Mode.LISTEN)


async def test_a_claim_that_is_given_up(desk: HelpDesk) -> None:
    """Whoever asked is gone while her phone rings: the hand is up again."""
    hand = await desk.raised()
    desk.pbx.rings = asyncio.get_running_loop().create_future()
    claim = asyncio.ensure_future(desk.hands.claim(SOFIA, hand.id, DESK, Mode.LISTEN))  # noqa: TID251 - a client, in a test
    await until(lambda: bool(desk.sessions))
    claim.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claim
    up = desk.hand(hand.id)
    assert up is not None
    assert up.state is HelpState.OPEN


async def test_withdrawn(desk: HelpDesk) -> None:
    """By herself; while a phone rings as well, and then the claim leaves nothing of it."""
    told = await desk.hands.withdraw(ANNA, (await desk.raised()).id)
    assert (told.end, told.ended_by) == (HelpEnd.WITHDRAWN, "anna")
    with pytest.raises(NotFound, match="no help has the id"):
        await desk.hands.withdraw(ANNA, told.id)
    hand = await desk.raised()
    desk.pbx.rings = asyncio.get_running_loop().create_future()
    claim = asyncio.ensure_future(desk.hands.claim(SOFIA, hand.id, DESK, Mode.LISTEN))  # noqa: TID251 - a client, in a test
    await until(lambda: bool(desk.sessions))
    await desk.hands.withdraw(ANNA, hand.id)
    desk.pbx.rings.set_result(None)
    assert (await claim).state is SupervisionState.ACTIVE
    assert desk.hub.store.helps == {}


async def test_it_expires(desk: HelpDesk) -> None:
    """After the time of the configuration, also while the link to the PBX is down."""
    hand = await desk.raised()
    await desk.wait(299.0)
    assert desk.hand(hand.id) is not None
    desk.script.link_down()
    await desk.wait(1.0)
    assert desk.hand(hand.id) is None
    assert [one.end for one in await desk.hands._kept.ended(AgentId("1001"))] == [HelpEnd.EXPIRED]


async def test_by_itself(desk: HelpDesk) -> None:
    """The room notices the time without anything else happening."""
    hand = await desk.raised()
    desk.clock.at += 301.0
    await until(lambda: desk.hand(hand.id) is None)


async def test_down_with_the_call(desk: HelpDesk) -> None:
    """A moment after it; a hand that was raised in no call stays."""
    hand = await desk.raised()
    other = await desk.raised(agent="1002")
    desk.script.call_over("1001", "support", "c1", "a1")
    await desk.wait(0.0)
    await desk.wait(0.5)
    assert desk.hand(hand.id) is not None
    await desk.wait(0.6)
    assert desk.hand(hand.id) is None
    assert desk.hand(other.id) == other
    assert other.call is None


async def test_into_another_call(desk: HelpDesk) -> None:
    """Who talks with the next customer before the moment is over has her hand up there."""
    hand = await desk.raised()
    desk.script.call_over("1001", "support", "c1", "a1")
    desk.script.agent_serves("1001", "support", "c2", "a2")
    await desk.told()
    await desk.wait(2.0)
    up = desk.hand(hand.id)
    assert up is not None
    assert up.call == "lab.c2"


# Restarts ---------------------------------------------------------------------------------------------


async def test_a_restart(desk: HelpDesk) -> None:
    """What was up is up again, what expired meanwhile ends for that reason, what had ended stays so."""
    hand, other = await desk.raised("he shouts"), await desk.raised(agent="1002")
    await desk.hands.withdraw(ANNA, other.id)
    await desk.end()
    await desk.begin()
    await until(lambda: desk.hand(hand.id) is not None)
    assert list(desk.hub.store.helps.values()) == [hand]
    await desk.end()
    desk.clock.at += 1000.0
    await desk.begin()
    await until(lambda: desk.hub.store.helps == {})
    ends = await desk.hands._kept.ended(AgentId("1001"))
    assert [one.end for one in ends] == [HelpEnd.EXPIRED]


async def test_a_restart_within_a_claim(desk: HelpDesk) -> None:
    """The session that began all the same is found; where none did, the hand is up again."""
    hand = await desk.raised()
    desk.pbx.rings = asyncio.get_running_loop().create_future()
    claim = asyncio.ensure_future(desk.hands.claim(SOFIA, hand.id, DESK, Mode.LISTEN))  # noqa: TID251 - a client, in a test
    await until(lambda: bool(desk.sessions))
    (session,) = desk.sessions
    await desk.end()
    await desk.begin()
    await until(lambda: [one.supervision for one in desk.hub.store.helps.values()] == [session])
    claim.cancel()
    await asyncio.gather(claim, return_exceptions=True)
    desk.hub.store.supervisions.clear()
    await desk.hands._judge()
    await until(lambda: desk.hand(hand.id) is None)


async def test_a_disk_that_refuses(desk: HelpDesk) -> None:
    """The hand is up all the same, and the log says that a restart would forget it, once."""

    async def refuses(help_: Help) -> None:
        del help_
        raise HelpUnavailable("no room")

    put = desk.hands._kept.put
    with capture_logs() as logs:
        desk.hands._kept.put = refuses  # type: ignore[method-assign]  # the disk is full
        await desk.raised()
        await desk.raised(agent="1002")
    assert len(desk.hub.store.helps) == 2
    assert [line["reason"] for line in logs if line["log_level"] == "error"] == ["no room"]
    desk.hands._kept.put = put  # type: ignore[method-assign]  # and has room again
    await desk.raised("louder")
    assert [one.text for one in await desk.hands._kept.live()] == ["louder"]


async def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Ctid goes on without the hands of before, and the log says so."""
    (tmp_path / FILE).write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with capture_logs() as logs:
        async with HelpDesk(tmp_path) as desk:
            assert (await desk.raised()).state is HelpState.OPEN
    assert any("are not known" in line["event"] for line in logs)


# What is kept -----------------------------------------------------------------------------------------


async def test_retention(tmp_path: Path) -> None:
    """What is down and old is counted and taken out; what is up stays, however old; an agent's is erased."""
    async with HelpDesk(tmp_path) as desk:
        old = await desk.raised()
        await desk.hands.withdraw(ANNA, old.id)
        desk.clock.at += 100.0
        await desk.raised()
        new = await desk.raised("call him back at 06 12 34 56 78", agent="1002")
        await desk.hands.withdraw(ANNA, new.id)
        account = HandsAccount(desk.hands._kept, 365)
        for dry_run in (True, False):
            assert await account.purge(Instant(BASE + 50), by="root", dry_run=dry_run) == 1
        assert await account.purge(Instant(BASE + 1000), by="root", dry_run=True) == 1
        emma = Subject(kind=SubjectKind.AGENT, id="1002")
        number = Subject(kind=SubjectKind.NUMBER, id="0612345678")
        for subject in (emma, number):
            assert [one["id"] for one in await account.export(subject)] == [new.id]
            assert (await account.erase(subject, by="root", dry_run=True)).erased == 1
        assert (await account.erase(number, by="root", dry_run=False)).erased == 1
        assert (await account.erase(emma, by="root", dry_run=False)).erased == 0
        assert len(await desk.hands._kept.live()) == 1


async def test_a_later_version(tmp_path: Path) -> None:
    """A file of a newer ctid is left alone."""
    kept = Kept(tmp_path)
    await kept.live()
    await kept.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    again = Kept(tmp_path)
    with pytest.raises(HelpUnavailable, match="of version 9, and this ctid knows 1; install"):
        await again.live()
    await again.close()


async def test_a_full_disk(tmp_path: Path) -> None:
    """Is told with the cure, and leaves what was there."""
    async with HelpDesk(tmp_path) as desk:
        told = await desk.raised()
        kept = desk.hands._kept
        connection = kept._database._connection
        assert connection is not None
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

        async def fill() -> None:
            for number in range(2000):
                await kept.put(replace(told, id=HelpId(f"h{number}"), text="x" * 200))

        with pytest.raises(HelpUnavailable, match=r"full.*make room"):
            await fill()
        assert told in list(await kept.live())


async def test_the_pbx_refuses(desk: HelpDesk) -> None:
    """Any refusal of the session puts the hand up again."""
    hand = await desk.raised()
    desk.pbx.fails[StartSupervision] = PbxRefused("no")
    with pytest.raises(PbxRefused):
        await desk.hands.claim(SOFIA, hand.id, DESK, Mode.LISTEN)
    up = desk.hand(hand.id)
    assert up is not None
    assert up.state is HelpState.OPEN

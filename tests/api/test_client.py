"""The Python client against the served floor, with cuts, a slow reader, restarts and a token that expires."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web

from api.support import BOOT, CALL, DEADLINE_S, NOW, PBX, SESSION, Floor, eventually, member, token_of
from ctid.api.context import Limits
from ctid.api.dispatch import encoded
from ctid.client import BadUrl, Change, Client, Occurrence, Reason, Refused, Reset, Unreachable, Unreadable
from ctid.client import changes as client_changes
from ctid.client.floor import Floor as Mirrored
from ctid.client.structs import KINDS, AgentState, Mode, QueueTarget, Via
from ctid.model.errors import SupervisionRefused
from ctid.model.facts import CallerAbandoned, MemberChanged
from ctid.model.ids import LegId, QueueId
from ctid.model.instant import Instant
from ctid.rates import Rate
from lab.cutter import Cutter


@pytest.fixture
async def client(floor: Floor) -> AsyncIterator[Client]:
    """A supervisor's client, straight at the floor."""
    async with Client(floor.url, token_of("supervisor"), patience_s=DEADLINE_S) as running:
        yield running


@pytest.fixture
def cutter() -> Iterator[Cutter]:
    """A relay whose target the test sets."""
    with Cutter() as relay:
        yield relay


def through(cutter: Cutter, floor: Floor, **options: Any) -> Client:
    """A supervisor's client behind the relay."""
    cutter.target = floor.server.address[1]
    options.setdefault("patience_s", DEADLINE_S)
    return Client(f"http://127.0.0.1:{cutter.port}", token_of("supervisor"), **options)


# Operations -------------------------------------------------------------------------------------------


async def test_a_command_and_its_answer(client: Client, floor: Floor) -> None:
    """A method takes the operation's parameters and gives its answer, typed."""
    done = await client.agents.pause("1002", reason="lunch")
    assert (done.agent.state, done.agent.reason) == (AgentState.NOT_READY, "lunch")
    seen = await client.agents.get("1002")
    assert encoded(seen) == encoded(floor.hub.store.agents[seen.id])  # type: ignore[index]  # the same text
    session = await client.supervisions.create(agent="1001", via=Via(phone="2001"), purpose="training")
    assert (session.id, session.mode) == (SESSION, Mode.LISTEN)
    switched = await client.supervisions.update(session.id, mode=Mode.WHISPER)
    assert switched.mode is Mode.WHISPER
    assert (await client.supervisions.delete(session.id)).end == "released"
    with pytest.raises(Refused, match="which number enters sales"):
        await client.calls.transfer(CALL, to=QueueTarget(queue="sales"))


async def test_a_list_is_read_page_by_page(client: Client) -> None:
    """Items come across pages, each once; a filter and the pages themselves are there too."""
    assert [agent.id async for agent in client.agents.list(limit=1)] == ["1001", "1002", "1003", "1004"]
    assert [agent.id for agent in await client.agents.list(state=AgentState.NOT_READY).all()] == ["1004"]
    async with aclosing(client.agents.list(limit=3).pages()) as pages:
        assert [len(page.items) async for page in pages] == [3, 1]


async def test_what_a_role_may_not_know_is_unset(floor: Floor) -> None:
    """A viewer's call says nothing of who listens, rather than that nobody does; it is written as it came."""
    async with Client(floor.url, token_of("viewer")) as client:
        call = await client.calls.get(CALL)
        assert json.loads(encoded(call)) == (await floor.get(f"/calls/{CALL}", "viewer")).json


@pytest.mark.parametrize("ident", ["1001/../1002", "a b", "%41", "é", "?x=1"])
async def test_an_id_stays_one_segment(client: Client, ident: str) -> None:
    """Whatever an id holds, it is asked for as it is."""
    with pytest.raises(Refused) as refused:
        await client.agents.get(ident)
    assert refused.value.code in ("agent.unknown", "request.invalid")


async def test_a_refusal(client: Client, floor: Floor) -> None:
    """It is an error with what the problem document says."""
    with pytest.raises(Refused) as refused:
        await client.agents.extend_after_call_work("1001", seconds=-1)
    assert (refused.value.code, refused.value.field, refused.value.status) == (
        "request.invalid",
        "seconds",
        422,
    )
    floor.supervisions.refusal = SupervisionRefused("no_live_call", "she hung up")
    with pytest.raises(Refused, match="she hung up"):
        await client.supervisions.create(agent="1001", via=Via(phone="2001"), purpose="training")


async def test_a_wait_that_is_asked_for() -> None:
    """Who asks too often waits as long as it is told to, while that is within its patience."""
    async with Floor(Limits(reads=Rate(per_s=20.0, burst=1))) as floor:
        await floor.populate()
        async with Client(floor.url, token_of("supervisor")) as patient:
            assert [(await patient.agents.get("1001")).id for _ in range(3)] == ["1001"] * 3
        async with Client(floor.url, token_of("supervisor"), patience_s=0) as hasty:
            with pytest.raises(Refused) as refused:
                await asyncio.gather(*[hasty.agents.get("1001") for _ in range(10)])
    assert refused.value.retry_after_s is not None


# Lost answers -----------------------------------------------------------------------------------------


async def test_an_answer_that_is_lost(floor: Floor, cutter: Cutter) -> None:
    """A command whose answer is lost is asked for again, and carried out once."""
    async with through(cutter, floor) as client:
        floor.supervisions.gate.clear()
        starting = asyncio.gather(
            client.supervisions.create(agent="1001", via=Via(phone="2001"), purpose="training")
        )
        await eventually(lambda: floor.supervisions.asked)
        cutter.cut()
        floor.supervisions.gate.set()
        cutter.restore()
        (session,) = await starting
    assert session.id == SESSION
    assert len(floor.supervisions.asked) == 1


async def test_a_command_is_not_done_twice_because_ctid_began_anew(floor: Floor, cutter: Cutter) -> None:
    """Where the keys are forgotten, a command whose answer was lost is not done again, and that is told."""
    async with Floor(boot_id="another") as later, through(cutter, floor) as client:
        await later.populate()
        floor.supervisions.gate.clear()
        starting = asyncio.gather(
            client.supervisions.create(agent="1001", via=Via(phone="2001"), purpose="training"),
            return_exceptions=True,
        )
        await eventually(lambda: floor.supervisions.asked)
        cutter.cut()
        cutter.target = later.server.address[1]
        cutter.restore()
        (lost,) = await starting
        assert isinstance(lost, Unreachable)
        assert lost.maybe_done
        assert "look at the state" in str(lost)
        assert later.supervisions.asked == []
        floor.supervisions.gate.set()


async def test_a_command_that_was_never_sent(floor: Floor, cutter: Cutter) -> None:
    """While nobody answers a command is tried again, as often as it takes."""
    async with through(cutter, floor) as client:
        cutter.cut()
        pausing = asyncio.gather(client.agents.pause("1002", reason="lunch"))
        # A refused connection tells nobody here; the answer is the same however many there were.
        await asyncio.sleep(0.05)
        cutter.restore()
        (done,) = await pausing
    assert done.agent.reason == "lunch"


@pytest.mark.parametrize("role", ["supervisor", "agent"])
async def test_the_run_of_ctid_that_a_command_is_for(floor: Floor, role: str) -> None:
    """A command for another run is refused and does nothing; each answer names its run."""
    for boot, status in (("another", 412), (BOOT, 200)):
        reply = await floor.request(
            "POST",
            "/api/v1/agents/1001/pause",
            role,
            json={"reason": "lunch"},
            headers={"Ctid-Boot-Id": boot},
        )
        assert (reply.status, reply.headers["Ctid-Boot-Id"]) == (status, BOOT)
        assert floor.hub.store.agents["1001"].queues[0].paused is (status == 200)  # type: ignore[index]  # the same text


async def test_nobody_there(cutter: Cutter) -> None:
    """Where no ctid answers, that is told with where it was looked for, of commands and readings alike."""
    cutter.cut()
    async with Client(f"http://127.0.0.1:{cutter.port}", "x", patience_s=0.2) as client:
        with pytest.raises(Unreachable, match=f"127.0.0.1:{cutter.port}.*systemctl") as unreachable:
            await client.agents.get("1001")
        with pytest.raises(Unreachable):
            await client.agents.pause("1001")
        with pytest.raises(Unreachable):
            await client.floor(patience_s=0.2).__aenter__()
    assert not unreachable.value.maybe_done


@pytest.mark.parametrize(
    ("status", "text", "raised"),
    [
        (200, "<html>", Unreachable),
        (502, "bad gateway", Unreachable),
        (200, "[]", Unreachable),
        (200, "{}", Unreadable),
    ],
)
async def test_somebody_else_there(status: int, text: str, raised: type[Exception]) -> None:
    """What is not ctid, or not one that this client understands, is told as that."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with Client(f"http://127.0.0.1:{runner.addresses[0][1]}", patience_s=0.1) as client:
            with pytest.raises(raised):
                await client.agents.get("1001")
            with pytest.raises(Unreachable):
                await anext(client.changes(patience_s=0.1))
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("url", ["", "ctid", "ftp://x", "http://", "http://x:99999", "mqtt://127.0.0.1"])
def test_a_url_that_is_none(url: str) -> None:
    """It is refused before anything is sent, with the cure."""
    with pytest.raises(BadUrl, match="write it as http"):
        Client(url)


async def test_before_it_is_entered() -> None:
    """Who does not use it as a context manager is told how to."""
    with pytest.raises(RuntimeError, match="async with"):
        await Client().agents.get("1001")
    with pytest.raises(RuntimeError, match="async with"):
        await Client().floor().until(lambda _: False)


# Changes ----------------------------------------------------------------------------------------------


async def test_everything_then_each_change(client: Client, floor: Floor) -> None:
    """First a reset with all, then what happens, until it is closed."""
    changes = client.changes()
    first = await anext(changes)
    assert isinstance(first, Reset)
    assert (first.reason, first.boot_id, changes.trouble) == (Reason.BEGINNING, BOOT, "")
    assert {entity.id for entity in first.entities} == {
        str(entity.id) for entity in floor.hub.store.entities()
    }
    await floor.pause("1002", "lunch")
    change = await anext(changes)
    assert isinstance(change, Change)
    assert (change.kind, change.id) == ("agent", "1002")
    abandoned = CallerAbandoned(
        pbx=PBX, at=NOW, queue=QueueId("support"), leg=LegId("100.1"), position=2, wait_s=3.5
    )
    await floor.feed(abandoned)
    while not isinstance(told := await anext(changes), Occurrence):
        pass
    assert (told.name, told.figures) == ("caller_abandoned", {"position": 2, "wait_s": 3.5})
    waiting = asyncio.gather(anext(changes, None))
    await changes.aclose()
    assert (await waiting)[0] is None
    await eventually(lambda: not [name for name in floor.subscriptions if "websocket" in name])


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"kinds": ["agent"]}, {"1001", "1002", "1003", "1004"}),
        ({"kinds": ["agent", "queue"], "teams": {"blue"}}, {"1002", "support"}),
        ({"ids": ("1003", "sales")}, {"1003", "sales"}),
        ({"kinds": ["agent", "queue"], "queues": ["sales"]}, {"1003", "1004", "sales"}),
    ],
)
async def test_filters(client: Client, filters: Any, ids: set[str]) -> None:
    """Only what was asked for is told."""
    first = await anext(client.changes(**filters))
    assert isinstance(first, Reset)
    assert {entity.id for entity in first.entities} == ids


async def test_a_filter_that_is_wrong(client: Client) -> None:
    """What ctid will not tell is raised at once, with its words."""
    with pytest.raises(Refused, match="is not one of") as refused:
        await anext(client.changes(kinds=["robot"]))
    assert (refused.value.code, refused.value.field) == ("request.invalid", "kind")


async def read_reasons(changes: Any, count: int) -> list[str]:
    """The reasons of the next changes of agents."""
    reasons: list[str] = []
    while len(reasons) < count:
        item = await anext(changes)
        assert isinstance(item, Change)
        reasons.append(item.entity.reason)  # type: ignore[union-attr]  # agents alone are asked for
    return reasons


@pytest.mark.parametrize("reset", [True, False])
async def test_a_cut_loses_nothing_and_tells_nothing_twice(
    floor: Floor, cutter: Cutter, *, reset: bool
) -> None:
    """However the connection breaks, changes come once each, in order, without a reset between."""
    async with through(cutter, floor) as client, aclosing(client.changes(kinds=["agent"])) as changes:
        assert isinstance(await anext(changes), Reset)
        reading = asyncio.gather(read_reasons(changes, 60))
        for number in range(60):
            if number % 10 == 5:
                cutter.cut(reset=reset)
                await floor.pause("1002", f"{number}")
                cutter.restore()
                # The next cut meets a connection that stands.
                await eventually(lambda: cutter.connections)
            else:
                await floor.pause("1002", f"{number}")
        async with asyncio.timeout(DEADLINE_S):
            assert (await reading)[0] == [f"{number}" for number in range(60)]


async def test_too_much_was_missed(cutter: Cutter) -> None:
    """After a cut that lasted too long there is a reset that says so; meanwhile the trouble is told."""
    async with Floor(Limits(ring=3)) as floor:
        await floor.populate()
        async with through(cutter, floor) as client, aclosing(client.changes(kinds=["agent"])) as changes:
            await anext(changes)
            cutter.cut()
            reading = asyncio.gather(anext(changes))
            await eventually(lambda: changes.trouble)
            for number in range(9):
                await floor.pause("1002", f"{number}")
            cutter.restore()
            ((item),) = await reading
            assert isinstance(item, Reset)
            assert (item.reason, changes.trouble) == (Reason.MISSED, "")
            assert {entity.reason for entity in item.entities if entity.id == "1002"} == {"8"}  # type: ignore[union-attr]  # agents alone


async def test_ctid_begins_anew(floor: Floor, cutter: Cutter) -> None:
    """Another run of ctid is told as a reset, whatever its numbers are."""
    async with Floor(boot_id="another") as later, through(cutter, floor) as client:
        await later.populate()
        async with aclosing(client.changes()) as changes:
            await anext(changes)
            cutter.cut(refuse=False)
            cutter.target = later.server.address[1]
            item = await anext(changes)
            assert isinstance(item, Reset)
            assert (item.reason, item.boot_id) == (Reason.RESTARTED, "another")


async def test_a_slow_reader_misses_nothing() -> None:
    """Who is closed with 4408 for being slow connects again, and goes on where it was."""
    async with Floor(Limits(waiting=100_000, send_s=0.1, close_s=0.1)) as floor:
        await floor.populate()
        async with Client(floor.url, token_of("supervisor")) as client:
            changes = client.changes(kinds=["agent"])
            await anext(changes)
            for number in range(3000):
                await floor.pause("1002", f"{number} " + "x" * 2000)
            await eventually(lambda: not [name for name in floor.subscriptions if "websocket" in name])
            reasons = await read_reasons(changes, 3000)
    assert [reason.split()[0] for reason in reasons] == [f"{number}" for number in range(3000)]


async def test_a_silence(floor: Floor, cutter: Cutter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which nothing is heard any more is given up, and the stream goes on over another."""
    monkeypatch.setattr(client_changes, "SILENCE_S", 0.3)
    async with through(cutter, floor) as client, aclosing(client.changes(kinds=["agent"])) as changes:
        await anext(changes)
        cutter.stall()
        reading = asyncio.gather(anext(changes))
        await eventually(lambda: "nothing was heard" in changes.trouble)
        await floor.pause("1002", "lunch")
        cutter.cut(refuse=False)
        cutter.restore()
        (change,) = await reading
        assert isinstance(change, Change)


async def test_a_token_that_expires() -> None:
    """The stream ends with a refusal that names the cure, and so does every attempt after it."""
    async with Floor(Limits(heartbeat_s=0.05)) as floor:
        await floor.populate()
        floor.identity.directory.expiries["a supervisor"] = Instant(NOW + 10)
        async with Client(floor.url, token_of("supervisor")) as client:
            changes = client.changes()
            await anext(changes)
            floor.clock.time += 10
            for _ in range(2):
                with pytest.raises(Refused, match=r"expired|is over") as refused:
                    await anext(changes)
                assert refused.value.code == "auth.expired"


# The floor --------------------------------------------------------------------------------------------


def is_same(mirror: Mirrored, floor: Floor) -> bool:
    """Whether a mirror has what the state has, as a supervisor sees it."""
    sight = floor.context.sight(floor.identity.directory.authenticate(token_of("supervisor"), NOW))
    there = {kind: {} for kind in KINDS}  # type: dict[str, dict[str, Any]]
    for entity in floor.hub.store.entities():
        there[entity.kind][entity.id] = json.loads(encoded(sight.entity(entity)))
    mine = {kind: {i: json.loads(encoded(e)) for i, e in mirror.table(kind).items()} for kind in KINDS}
    for tables in (there, mine):
        for table in tables.values():
            for document in table.values():
                document.pop("confirmed_at", None)
    return mine == there


async def test_a_live_copy_across_cuts_and_restarts(floor: Floor, cutter: Cutter) -> None:
    """Whatever happens to the floor, the connection and ctid: the copy becomes what the state is."""
    async with through(cutter, floor) as client, client.floor() as mirror:
        assert is_same(mirror, floor)
        for number in range(20):
            if number % 4 == 1:
                cutter.cut(reset=number % 8 == 1, refuse=number % 3 == 0)
            await floor.pause("1002", f"{number}" if number % 2 else "")
            await floor.renumber(f"06{number:08}")
            if number == 7:
                await floor.supervise()
            cutter.restore()
            if number % 5 == 0:
                await mirror.until(lambda mirror: is_same(mirror, floor), DEADLINE_S)
        await mirror.until(lambda mirror: is_same(mirror, floor), DEADLINE_S)
        async with Floor(boot_id="another") as later:
            await later.populate()
            cutter.target = later.server.address[1]
            cutter.cut(refuse=False)
            await mirror.until(lambda mirror: mirror.boot_id == "another", DEADLINE_S)
            await later.supervise()
            await mirror.until(lambda mirror: is_same(mirror, later), DEADLINE_S)


async def test_until_leaves_no_change_out(client: Client, floor: Floor) -> None:
    """What held for one change alone is seen, although the next one came with it."""

    async def seen(mirror: Mirrored, reason: str) -> None:
        await mirror.until(lambda mirror: mirror.agents["1002"].reason == reason, DEADLINE_S)

    reasons = [f"{number}" for number in range(50)]
    async with client.floor(kinds=["agent"]) as mirror:
        waiting = asyncio.gather(*[seen(mirror, reason) for reason in reasons])
        await asyncio.sleep(0)
        paused = [member("1002", paused=True, reason=reason) for reason in reasons]
        await floor.hub.feed([MemberChanged(pbx=PBX, at=NOW, member=each) for each in paused])
        await waiting
        with pytest.raises(TimeoutError):
            await mirror.until(lambda _: False, 0.01)


@pytest.mark.parametrize("waits", [True, False])
async def test_a_floor_that_ends(*, waits: bool) -> None:
    """What ends the stream is raised by whoever waits, and at the end by whoever does not."""

    async def expire(client: Client, floor: Floor) -> None:
        async with client.floor() as mirror:
            floor.clock.time += 10
            if waits:
                await mirror.until(lambda _: False, DEADLINE_S)
            await eventually(lambda: mirror._task is not None and mirror._task.done())

    async with Floor(Limits(heartbeat_s=0.05)) as floor:
        await floor.populate()
        floor.identity.directory.expiries["a supervisor"] = Instant(NOW + 10)
        async with Client(floor.url, token_of("supervisor")) as client:
            with pytest.raises(Refused, match=r"expired|is over"):
                await expire(client, floor)

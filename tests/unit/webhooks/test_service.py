"""The webhooks of a hub, sent to a real receiver on the loopback."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import web
from msgspec.structs import replace

from ctid.audit.subjects import Subject, SubjectKind
from ctid.clock import SystemClock
from ctid.config_schema import WebhookConfig
from ctid.config_secrets import Secret
from ctid.hub import Hub
from ctid.model.errors import NotFound
from ctid.model.facts import AgentMessaged
from ctid.model.ids import AgentId, PbxId
from ctid.model.instant import Instant
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from ctid.webhooks import service, verdict
from ctid.webhooks.accounting import LettersAccount
from ctid.webhooks.kept import FILE, MOST_DEAD, Kept
from ctid.webhooks.letters import NewLetter
from ctid.webhooks.service import Webhooks
from ctid.webhooks.words import WebhookState, WebhookStatus, WebhooksUnavailable
from helpers.patience import until
from helpers.receiver import SECRET, Receiver

OTHER_SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the waits after failures be short."""
    monkeypatch.setattr(verdict, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(verdict, "LONGEST_WAIT_S", 0.1)
    monkeypatch.setattr(service, "RETRY_S", 0.02)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """One that takes all."""
    async with Receiver() as listening:
        yield listening


_RUNS: Counter[Path] = Counter()
"""Of ctid in each state directory."""


class Site:
    """A hub and its webhooks over several runs of ctid in one state directory."""

    def __init__(self, folder: Path, *hooks: WebhookConfig) -> None:
        self.folder = folder
        self.hooks = hooks

    async def __aenter__(self) -> Self:
        _RUNS[self.folder] += 1
        self.clock = SystemClock()
        self.hub = Hub(Store(), self.clock)
        boot = f"boot{_RUNS[self.folder]}"
        self.webhooks = Webhooks(self.hub, self.hooks, "lab", boot, self.folder, self.clock)
        self._tasks = TaskOwner()
        self._tasks.spawn("hub", self.hub.run())
        self._sending = self._tasks.spawn("webhooks", self.webhooks.run())
        await until(lambda: bool(self.hub._subscriptions) or not self.hooks)
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._sending.cancel()
        await asyncio.wait({self._sending}, timeout=5)
        assert self._sending.done()
        await self._tasks.close()

    async def tell(self, *texts: str, agent: str = "1001") -> None:
        """An event for each text, about an agent."""
        await self.hub.feed(
            [
                AgentMessaged(
                    pbx=PbxId("p"), at=Instant(self.clock.now()), agent=AgentId(agent), text=text, by="anna"
                )
                for text in texts
            ]
        )
        assert await self.hub.until(self.hub._facts.empty, 5.0)

    @property
    def status(self) -> WebhookStatus:
        """How the first one stands."""
        return self.webhooks.status()[0]

    async def settled(self, **expected: Any) -> None:
        """Wait until its status has these."""

        def holds() -> bool:
            return all(getattr(self.status, name) == value for name, value in expected.items())

        try:
            await until(holds)
        except AssertionError:
            raise AssertionError(f"{expected}, not {self.status}") from None


def hook(url: str, **fields: Any) -> WebhookConfig:
    """A webhook that wants what agents are told."""
    known: dict[str, Any] = {"events": ("agent.message",), "secret": Secret(SECRET), "timeout_s": 5.0}
    return WebhookConfig(name="crm", url=url, **(known | fields))


def refusing(*texts: str, status: int = 400) -> Callable[[dict[str, Any]], web.Response]:
    """Answer so to events with these texts, and take the others."""
    return lambda event: web.Response(status=status if event["data"]["text"] in texts else 204)


async def test_events_arrive_signed_and_in_order(receiver: Receiver, tmp_path: Path) -> None:
    """Each once, in the JSON format of CloudEvents, with the id that it has on the broker."""
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.tell(*[str(number) for number in range(50)])
        await site.settled(delivered=50, waiting=0, dead=0, dropped=0, state=WebhookState.OK)
        assert receiver.told("text") == [str(number) for number in range(50)]
        assert [event["id"] for event in receiver.events] == [f"boot1-{seq}" for seq in range(1, 51)]
        assert receiver.types == {"application/cloudevents+json; charset=utf-8"}
        assert site.status.host == f"http://127.0.0.1:{receiver.url.split(':')[2].split('/')[0]}"
    assert receiver.forged == []


async def test_both_secrets_while_they_change(receiver: Receiver, tmp_path: Path) -> None:
    """A receiver that knows the old one still takes what is signed with both; with neither, nothing."""
    both = hook(receiver.url, secret=Secret(OTHER_SECRET), old_secret=Secret(SECRET))
    async with Site(tmp_path, both) as site:
        await site.tell("a")
        await site.settled(delivered=1)
    async with Site(tmp_path, hook(receiver.url, secret=Secret(OTHER_SECRET))) as site:
        await site.tell("b")
        await site.settled(dead=1)
    assert [json.loads(body)["data"]["text"] for body in receiver.forged] == ["b"]


async def test_a_refused_event_is_dead_and_can_be_retried(receiver: Receiver, tmp_path: Path) -> None:
    """What the receiver will never take holds up nothing; it is kept, listed page by page, and sent again."""
    receiver.answer = refusing("b", "d")
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.tell("a", "b", "c", "d")
        await site.settled(delivered=2, dead=2, waiting=0)
        assert receiver.told("text") == ["a", "c"]
        (first,) = await site.webhooks.dead("crm", None, 1)
        position, letter = first
        assert (letter.id, letter.type, letter.subject) == ("boot1-2", "ctid.agent.message", "agents/1001")
        assert (letter.reason, letter.tries) == ("answered 400 Bad Request", 1)
        ((_, second),) = await site.webhooks.dead("crm", (letter.died_at, position), 5)
        assert second.id == "boot1-4"
        assert site.status.last_error == "answered 400 Bad Request"
        assert site.status.state is WebhookState.OK
    receiver.answer = refusing()
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.settled(dead=2)
        assert (await site.webhooks.retry("crm", ["boot1-4", "none"])).retried == 1
        await site.settled(dead=1, delivered=1)
        assert (await site.webhooks.retry("crm", None)).retried == 1
        await site.settled(dead=0, delivered=2)
    assert receiver.told("text") == ["a", "c", "d", "b"]
    assert receiver.attempts.count("boot1-2") == 2


async def test_an_outage_loses_nothing(receiver: Receiver, tmp_path: Path) -> None:
    """While nobody listens all wait; then all arrive, those about one agent in their order."""
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.tell("0")
        await site.settled(delivered=1)
        await receiver.stop()
        for agent in ("1001", "1002"):
            await site.tell(*[f"{agent}-{number}" for number in range(20)], agent=agent)
        await site.settled(state=WebhookState.FAILING, waiting=40)
        assert "127.0.0.1" in site.status.last_error
        await receiver.start()
        await site.settled(delivered=41, waiting=0, state=WebhookState.OK)
        for agent in ("1001", "1002"):
            texts = [text for text in receiver.told("text") if text.startswith(agent)]
            assert texts == [f"{agent}-{number}" for number in range(20)]
    assert len(set(receiver.attempts)) == len(receiver.events) == 41


async def test_a_restart_loses_nothing(receiver: Receiver, tmp_path: Path) -> None:
    """What waits when ctid stops is sent by the next run, before its own, with the ids of the first."""
    await receiver.stop()
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.tell(*[str(number) for number in range(30)])
        await site.settled(state=WebhookState.FAILING)
        await site.tell("last")  # and stopped at once, before the disk has it
        folder = site
    await receiver.start()
    async with folder as site:
        await site.tell("new")
        await site.settled(delivered=32, waiting=0)
    assert receiver.told("text") == [*[str(number) for number in range(30)], "last", "new"]
    ids = [event["id"] for event in receiver.events]
    assert ids == [*[f"boot1-{seq}" for seq in range(1, 32)], "boot2-1"]


async def test_who_does_not_answer_in_time(receiver: Receiver, tmp_path: Path) -> None:
    """Is asked again; the reason says so."""
    slow = {"1"}
    receiver.answer = lambda event: None if event["data"]["text"] in slow else web.Response()
    async with Site(tmp_path, hook(receiver.url, timeout_s=0.1)) as site:
        await site.tell("1")
        await site.settled(state=WebhookState.FAILING, last_error="no answer within 0.1 s")
        slow.clear()
        await site.settled(state=WebhookState.OK, delivered=1, waiting=0)
    assert len(receiver.attempts) >= 2


async def test_one_bad_event_holds_up_its_own_subject(receiver: Receiver, tmp_path: Path) -> None:
    """A receiver that fails on one event alone gets all others that are about somebody else."""
    receiver.answer = refusing("bad", status=500)
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.tell("bad", "after")
        for number in range(10):
            await site.tell(str(number), agent="1002")
        await until(lambda: len(receiver.events) == 10)
        await site.settled(state=WebhookState.OK, waiting=2)
        assert "after" not in receiver.told("text")
        receiver.answer = refusing()
        await site.settled(waiting=0, delivered=12)
    assert receiver.told("text")[-2:] == ["bad", "after"]


async def test_a_rest_that_is_asked_for(receiver: Receiver, tmp_path: Path) -> None:
    """429 with Retry-After: nothing is sent meanwhile."""
    loop = asyncio.get_running_loop()
    asked: list[float] = []

    def answer(_event: dict[str, Any]) -> web.Response:
        asked.append(loop.time())
        return web.Response(status=429 if len(asked) == 1 else 200, headers={"Retry-After": "1"})

    receiver.answer = answer
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.tell("a")
        await site.tell("b", agent="1002")
        await site.settled(delivered=2)
    first_again = next(at for at in asked[1:] if at > asked[0] + 0.5)
    assert first_again - asked[0] >= 1.0


async def test_redirects_are_not_followed(receiver: Receiver, tmp_path: Path) -> None:
    """An event goes to the URL of the configuration alone; it waits until somebody mends that."""
    async with Receiver() as elsewhere:
        receiver.answer = lambda _event: web.Response(status=307, headers={"Location": elsewhere.url})
        async with Site(tmp_path, hook(receiver.url)) as site:
            await site.tell("a")
            await site.settled(state=WebhookState.FAILING, waiting=1)
            assert "redirects are not followed" in site.status.last_error
        assert elsewhere.attempts == []


async def test_gone_disables_until_somebody_retries(receiver: Receiver, tmp_path: Path) -> None:
    """410: what waits is dead, what comes is dropped, also after a restart; not under another URL."""
    receiver.answer = lambda _event: web.Response(status=410)
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.tell("a", "b")
        await site.settled(state=WebhookState.DISABLED, dead=2, waiting=0)
        await site.tell("c")
        await site.settled(dropped=1)
    receiver.answer = refusing()
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.settled(state=WebhookState.DISABLED, dead=2)
        await site.tell("d")
        await site.settled(dropped=1)
        assert (await site.webhooks.retry("crm", None)).retried == 2
        await site.settled(state=WebhookState.OK, delivered=2, dead=0)
    receiver.answer = lambda _event: web.Response(status=410)
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.tell("e")
        await site.settled(state=WebhookState.DISABLED)
    receiver.answer = refusing()
    async with Site(tmp_path, hook(receiver.url.replace("127.0.0.1", "localhost"))) as site:
        await site.tell("f")
        await site.settled(state=WebhookState.OK, delivered=1, dead=1)
    assert receiver.told("text") == ["a", "b", "f"]


async def test_what_is_too_old_is_given_up(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a day of failures an event is dead, with the reason; what the receiver takes then arrives."""
    monkeypatch.setattr(verdict, "GIVE_UP_S", 0.2)
    receiver.answer = refusing("a", status=503)
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.tell("a", "b")
        await site.settled(dead=1, delivered=1)
        ((_, letter),) = await site.webhooks.dead("crm", None, 5)
        assert letter.reason == "answered 503 Service Unavailable, and too old to be tried again"
        assert letter.tries > 1


async def test_a_disk_that_refuses(receiver: Receiver, tmp_path: Path) -> None:
    """Events wait in memory and are told to; once the disk takes them they are sent."""
    folder = tmp_path / "later"
    async with Site(folder, hook(receiver.url)) as site:
        await site.tell("a")
        await until(lambda: site.status.degraded != "")
        assert FILE in site.status.degraded
        with pytest.raises(WebhooksUnavailable):
            await site.webhooks.dead("crm", None, 1)
        folder.mkdir()
        await site.settled(delivered=1, degraded="")


async def test_memory_is_bounded_while_the_disk_refuses(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go, and are counted; what is left at the stop is lost, and that is logged."""
    monkeypatch.setattr(service, "IN_MEMORY", 3)
    folder = tmp_path / "later"
    async with Site(folder, hook(receiver.url)) as site:
        await site.tell(*"abcde")
        await site.settled(dropped=2)
        folder.mkdir()
        await site.settled(delivered=3)
    assert receiver.told("text") == ["c", "d", "e"]
    async with Site(tmp_path / "never", hook(receiver.url)) as site:
        await site.tell("lost")
    assert len(receiver.events) == 3


async def test_too_many_wait(receiver: Receiver, tmp_path: Path) -> None:
    """The oldest are dropped and counted, on disk as well."""
    await receiver.stop()
    async with Site(tmp_path, hook(receiver.url)) as site:
        site.webhooks._couriers["crm"]._line._most = 5
        await site.tell(*[str(number) for number in range(9)])
        await site.settled(waiting=5, dropped=4)
        await receiver.start()
        await site.settled(delivered=5)
    assert receiver.told("text")[-4:] == ["5", "6", "7", "8"]
    with sqlite3.connect(tmp_path / FILE) as database:
        assert database.execute("SELECT count(*) FROM letters").fetchone() == (0,)
    database.close()


async def test_slow_webhooks_follow_again(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that overtakes them drops them; they subscribe anew, and go on."""
    async with Site(tmp_path, hook(receiver.url)) as site:
        (subscription,) = site.hub._subscriptions
        monkeypatch.setattr(subscription, "_dropped", True)
        site.hub.unsubscribe(subscription)
        subscription._updates.put_nowait(replace_text(site))
        await until(lambda: bool(site.hub._subscriptions))
        await site.tell("b")
        await site.settled(delivered=2)


def replace_text(site: Site) -> Any:
    """An update that the subscription still holds."""
    fact = AgentMessaged(pbx=PbxId("p"), at=Instant(1.0), agent=AgentId("1001"), text="a", by="anna")
    (update,) = site.hub.store.apply(fact)
    return update


async def test_webhooks_that_are_no_more(receiver: Receiver, tmp_path: Path) -> None:
    """Their letters are forgotten; with no webhook at all nothing is kept or followed."""
    await receiver.stop()
    async with Site(tmp_path, hook(receiver.url)) as site:
        await site.tell("a")
        await site.settled(waiting=1)
    async with Site(tmp_path) as site:
        await until(lambda: rows(tmp_path) == 0)
        assert site.webhooks.status() == ()
        with pytest.raises(NotFound, match="no webhook has the id"):
            await site.webhooks.retry("crm", None)
    async with Site(tmp_path / "new") as site:
        await site.tell("a")
    assert not (tmp_path / "new").exists()


def rows(folder: Path) -> int:
    """How many letters are on disk."""
    database = sqlite3.connect(folder / FILE)
    try:
        return int(database.execute("SELECT count(*) FROM letters").fetchone()[0])
    finally:
        database.close()


async def test_a_test(receiver: Receiver, tmp_path: Path) -> None:
    """It goes past what waits, and tells what was answered; what fails is not tried again."""
    receiver.answer = lambda _event: web.Response(status=200, text="welcome")
    async with Site(tmp_path, hook(receiver.url)) as site:
        tested = await site.webhooks.test("crm")
        assert (tested.delivered, tested.status, tested.answer, tested.problem) == (True, 200, "welcome", "")
        assert [event["id"] for event in receiver.events] == [tested.id]
        receiver.answer = lambda _event: web.Response(status=404)
        tested = await site.webhooks.test("crm")
        assert (tested.delivered, tested.status, tested.problem) == (False, 404, "answered 404 Not Found")
        await receiver.stop()
        tested = await site.webhooks.test("crm")
        assert (tested.delivered, tested.status) == (False, None)
        assert "127.0.0.1" in tested.problem
        assert site.status.waiting == site.status.dead == 0


async def test_what_is_kept_about_people(receiver: Receiver, tmp_path: Path) -> None:
    """Letters that wait or are dead are exported and erased for an agent or a number; the dead are purged."""
    receiver.answer = refusing("06 12 34 56 78", "x")
    agent = Subject(kind=SubjectKind.AGENT, id="1001")
    number = Subject(kind=SubjectKind.NUMBER, id="0612345678")
    async with Site(tmp_path, hook(receiver.url)) as site:
        account = LettersAccount(site.webhooks, 7)
        await site.tell("06 12 34 56 78")
        await site.tell("x", agent="1002")
        await site.settled(dead=2)
        (found,) = await account.export(number)
        assert found["data"]["text"] == "06 12 34 56 78"
        assert await account.export(agent) == [found]
        assert (await account.erase(agent, by="anna", dry_run=True)).erased == 1
        assert site.status.dead == 2
        assert (await account.erase(number, by="anna", dry_run=False)).erased == 1
        await site.settled(dead=1)
        assert await account.export(agent) == []
        later = Instant(site.clock.now() + 1)
        assert await account.purge(Instant(0.0), by="anna", dry_run=False) == 0
        assert await account.purge(later, by="anna", dry_run=True) == 1
        assert await account.purge(later, by="anna", dry_run=False) == 1
        await site.settled(dead=0)
        await receiver.stop()
        await site.tell("y")
        await site.settled(state=WebhookState.FAILING, waiting=1)
        assert (await account.erase(agent, by="anna", dry_run=False)).erased == 1
        await site.settled(waiting=0)


async def test_a_disk_that_fails_now_and_then(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be read is tried again; what has arrived and cannot be forgotten, is with the next."""
    async with Site(tmp_path, hook(receiver.url)) as site:
        kept, failing = site.webhooks.kept, {"read", "forget"}

        def sometimes(name: str) -> Any:
            work = getattr(kept, name)

            async def done(*values: Any) -> Any:
                if name in failing:
                    failing.remove(name)
                    raise WebhooksUnavailable("disk I/O error")
                return await work(*values)

            return done

        for name in ("read", "forget"):
            monkeypatch.setattr(kept, name, sometimes(name))
        await site.tell("a")
        await site.settled(delivered=1, last_error="disk I/O error")
        await until(lambda: rows(tmp_path) == 1)
        await site.tell("b")
        await site.settled(delivered=2)
        await until(lambda: rows(tmp_path) == 0)
    assert receiver.told("text") == ["a", "b"]


async def test_what_has_arrived_is_not_sent_again_after_a_stop(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the stop comes before the disk has forgotten it."""
    async with Site(tmp_path, hook(receiver.url)) as site:
        kept = site.webhooks.kept
        forget, times = kept.forget, Counter[str]()

        async def slow_at_first(positions: Sequence[int]) -> None:
            times["asked"] += 1
            if times["asked"] == 1:
                await asyncio.Event().wait()
            await forget(positions)

        monkeypatch.setattr(kept, "forget", slow_at_first)
        await site.tell("a")
        await site.settled(delivered=1)
        await until(lambda: times["asked"] == 1)
    assert rows(tmp_path) == 0


async def test_dead_letters_are_bounded(tmp_path: Path) -> None:
    """Beyond the bound those that died first go; one event is kept once."""
    kept = Kept(tmp_path)
    letters = [NewLetter("crm", str(number), "t", "s", 1.0, b"{}") for number in range(MOST_DEAD + 3)]
    positions = await kept.add(letters)
    assert await kept.add(letters[:1]) == [None]
    for number, position in enumerate(positions[:2]):
        assert position is not None
        assert await kept.bury("crm", position, 10.0 + number, 1, "r") == number + 1
    assert await kept.disable("crm", "u", 20.0, "gone") == MOST_DEAD
    ((_, first),) = await kept.dead("crm", None, 1)
    assert (first.id, first.reason) == ("3", "gone")
    await kept.close()


async def test_an_authority_of_ones_own(receiver: Receiver, tmp_path: Path) -> None:
    """A file that holds no certificate is refused before anything is sent."""
    (tmp_path / "ca.pem").write_text("none")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(OSError, match=r"CERTIFICATE|No such file|PEM"):
            Webhooks(
                Hub(Store(), SystemClock()),
                [replace(hook(receiver.url), tls_ca=str(tmp_path / name))],
                "lab",
                "b",
                tmp_path,
                SystemClock(),
            )

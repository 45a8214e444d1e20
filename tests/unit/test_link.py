import random
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from ctid import link
from ctid.hub import Hub
from ctid.link import FIRST_WAIT_S, LONGEST_WAIT_S, REFUSED_WAIT_S, Backoff, keep_linked
from ctid.model.errors import LinkError, LinkRefused, PbxUnavailable
from ctid.model.facts import Fact, LinkDown, LinkUp
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid.ports import Connection
from ctid.state.store import Store
from helpers.fakes import FakeClock, FakeConnection, FakeDriver, ScriptEnded
from helpers.floor import BASE

LAB = PbxId("lab")
UP = LinkUp(pbx=LAB, at=BASE, driver="fake", version="1")


class Watched(Hub):
    """A hub that nobody runs: it keeps what it is fed, and when which connection was attached."""

    def __init__(self) -> None:
        super().__init__(Store(), FakeClock())
        self.fed: list[Fact] = []
        self.attached: list[Connection | None] = []

    async def feed(self, facts: object) -> None:
        """Keep the facts."""
        assert isinstance(facts, list)
        self.fed += facts

    def attach(self, pbx: PbxId, connection: Connection | None) -> None:
        """Keep the connection, and attach it."""
        self.attached.append(connection)
        super().attach(pbx, connection)


class Played:
    """What came of a script: the hub, the waits in seconds, and the log."""

    def __init__(self) -> None:
        self.hub = Watched()
        self.waits: list[float] = []
        self.logs: list[tuple[str, str]] = []

    @property
    def downs(self) -> list[LinkDown]:
        """The `LinkDown`s that the hub was fed."""
        return [fact for fact in self.hub.fed if isinstance(fact, LinkDown)]


async def play(monkeypatch: pytest.MonkeyPatch, *script: Connection | Exception) -> Played:
    """Keep a link by a script until it ends, without really waiting."""
    played = Played()

    async def sleep(seconds: float) -> None:
        played.waits.append(seconds)

    monkeypatch.setattr(link, "asyncio", SimpleNamespace(sleep=sleep))
    with capture_logs() as logs, pytest.raises(ScriptEnded):
        await keep_linked(FakeDriver(*script), played.hub, FakeClock(BASE + 7), Backoff(_Steady()))
    played.logs = [(entry["event"], entry.get("reason", "")) for entry in logs]
    return played


class _Steady(random.Random):
    """No jitter: always the longest wait that it allows."""

    def uniform(self, a: float, b: float) -> float:
        """Return the greater of the two."""
        return max(a, b)


# Backoff ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_waits_grow_to_the_cap_and_never_over_it(seed: int) -> None:
    """From the first wait to the longest, each a little shorter by chance; whoever waits long waits 5 s."""
    backoff = Backoff(random.Random(seed))  # noqa: S311 - a seed so that a failure comes again
    waits = [backoff.next() for _ in range(40)]
    full = FIRST_WAIT_S
    for wait in waits:
        assert full * (1 - link.JITTER) <= wait <= full
        full = min(full * link.GROWTH, LONGEST_WAIT_S)
    assert full == LONGEST_WAIT_S


def test_waits_differ_from_one_daemon_to_the_next() -> None:
    """Without a seed two daemons do not knock together."""
    one, two = Backoff(), Backoff()
    assert [one.next() for _ in range(8)] != [two.next() for _ in range(8)]


def test_a_link_that_stood_is_met_soon_again() -> None:
    """After a reset the next wait is a first one."""
    backoff = Backoff(_Steady())
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() == FIRST_WAIT_S


# The loop ---------------------------------------------------------------------------------------------


async def test_facts_reach_the_hub_and_the_connection_takes_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In their order, with the connection attached before the first of them and detached after the last."""
    connection = FakeConnection([[UP], [UP, UP]])
    played = await play(monkeypatch, connection)
    assert played.hub.fed[:3] == [UP, UP, UP]
    assert played.hub.attached == [connection, None]
    assert connection.closed == 1
    with pytest.raises(PbxUnavailable):
        played.hub.connection(LAB)


async def test_a_connection_that_ends_is_a_link_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed by the other side without a word: told as a fact with the time, and tried again soon."""
    played = await play(monkeypatch, FakeConnection([[UP]]))
    assert played.downs == [LinkDown(pbx=LAB, at=Instant(BASE + 7), driver="fake", reason="closed")]
    assert played.waits == [FIRST_WAIT_S]


async def test_a_lost_connection_is_closed_and_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error in the middle of the facts leaves no connection attached or open."""
    connection = FakeConnection([[UP]], lost=LinkError("no answer for 10 s"))
    played = await play(monkeypatch, connection)
    assert [down.reason for down in played.downs] == ["no answer for 10 s"]
    assert (connection.closed, played.hub.attached[-1]) == (1, None)


async def test_attempts_that_fail_wait_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits grow to the cap; a link that told facts starts them afresh."""
    played = await play(
        monkeypatch, *[LinkError("refused")] * 9, FakeConnection([[UP]]), LinkError("refused")
    )
    grown = [min(FIRST_WAIT_S * link.GROWTH**attempt, LONGEST_WAIT_S) for attempt in range(9)]
    assert played.waits == pytest.approx([*grown, FIRST_WAIT_S, FIRST_WAIT_S * link.GROWTH])


async def test_a_connection_that_tells_nothing_does_not_start_afresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A PBX that accepts and falls over at once is not hammered."""
    played = await play(monkeypatch, *[FakeConnection() for _ in range(3)])
    assert played.waits == sorted(set(played.waits))
    assert len(played.waits) == 3


async def test_a_refused_login_waits_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong secret does not mend itself, and the waits of a lost link are not used up by it."""
    played = await play(monkeypatch, *[LinkRefused("Authentication failed")] * 3, LinkError("lost"))
    assert played.waits == [REFUSED_WAIT_S, REFUSED_WAIT_S, REFUSED_WAIT_S, FIRST_WAIT_S]
    assert {down.reason for down in played.downs[:3]} == {"Authentication failed"}


async def test_each_edge_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the attempts fail: one line when it goes down, one when it is up, one down again."""
    played = await play(
        monkeypatch,
        *[LinkError("refused")] * 5,
        FakeConnection([[UP]], lost=LinkError("reset")),
        *[LinkError("reset")] * 3,
        FakeConnection([[UP]], lost=LinkError("reset")),
    )
    assert played.logs == [
        ("link down", "refused"),
        ("link up", ""),
        ("link down", "reset"),
        ("link up", ""),
        ("link down", "reset"),
    ]


async def test_another_reason_is_logged_while_it_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """An admin sees that the address is right now, and the secret wrong."""
    played = await play(
        monkeypatch, LinkError("no route"), LinkRefused("wrong secret"), LinkRefused("wrong secret")
    )
    assert played.logs == [("link down", "no route"), ("link down", "wrong secret")]
    assert len(played.downs) == 3, "the state hears of every attempt, and tells a change alone"


async def test_an_unexpected_exception_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in a driver ends the task, its connection closed, and is no lost link."""
    connection = FakeConnection([[UP]], lost=ZeroDivisionError())
    hub = Watched()
    monkeypatch.setattr(link, "asyncio", SimpleNamespace())
    with pytest.raises(ZeroDivisionError):
        await keep_linked(FakeDriver(connection), hub, FakeClock())
    assert (connection.closed, hub.attached, hub.fed) == (1, [connection, None], [UP])

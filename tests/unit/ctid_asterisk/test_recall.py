import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from ctid.history.entries import entries_of
from ctid.history.ledger import Ledger
from ctid.model.facts import CallerAnswered, Member
from ctid.model.ids import AgentId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.ports import Counters, MemberCounters, QueueCounters, Recollection
from ctid_asterisk.recall import log_path, read_counters, recall
from ctid_asterisk.settings import QUEUE_LOG, Settings
from ctid_asterisk.wire import Message
from helpers.floor import BASE

SETTINGS = Settings(username="ctid", secret="s")
COUNTERS = Counters(at=Instant(BASE))
T = int(BASE)


async def recalled(settings: Settings, since: float = BASE) -> Recollection:
    """Recall with one member."""
    member = Member(queue=QueueId("sales"), agent=AgentId("1001"), name="Anna")
    return await recall(
        PbxId("lab"),
        settings,
        Instant(since),
        members={("sales", "PJSIP/1001"): member},
        channels={},
        remembered=(),
        counters=COUNTERS,
    )


async def test_the_log_is_told(tmp_path: Path) -> None:
    """Moments since then, what could not be read or placed, and how far the log goes back."""
    path = tmp_path / "queue_log"
    path.write_text(
        f"{T + 1}|1.1|sales|Anna|CONNECT|2|1.2|3\n{T + 2}|1.1|sales|Eve|CONNECT|2|1.2|3\n"
        f"nothing\n{T + 3}|1.1|sales|Anna|CONNECT\n"
    )
    told = await recalled(replace(SETTINGS, queue_log=str(path)))
    assert [(type(m), m.agent) for m in told.moments if isinstance(m, CallerAnswered)] == [
        (CallerAnswered, "1001"),
        (CallerAnswered, ""),
    ]
    assert (told.since, told.nameless, told.unread, told.more) == (Instant(T + 1), ("Eve",), 2, False)
    assert told.until is not None
    assert told.until > BASE
    assert [(name.queue, name.name, name.agent) for name in told.names] == [("sales", "Anna", "1001")]
    assert told.counters is COUNTERS
    assert (await recalled(replace(SETTINGS, queue_log=str(path)), BASE + 2)).since == BASE + 2


async def test_an_empty_log(tmp_path: Path) -> None:
    """A log that begins now tells nothing of before."""
    (tmp_path / "queue_log").touch()
    told = await recalled(replace(SETTINGS, queue_log=str(tmp_path / "queue_log")))
    assert told.since == told.until


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (replace(SETTINGS, queue_log=""), "the setting queue_log is empty"),
        (replace(SETTINGS, host="192.0.2.7"), "another machine, 192.0.2.7: mount"),
        (replace(SETTINGS, host="pbx.example"), "another machine"),
        (replace(SETTINGS, queue_log="/nowhere/queue_log"), "No such file.*logger.conf"),
        (replace(SETTINGS, queue_log="/proc/self/mem/queue_log"), "Not a directory.*mend it"),
    ],
)
async def test_no_log(settings: Settings, said: str) -> None:
    """Where there is none to read, why and the cure are told, and the counters all the same."""
    told = await recalled(settings)
    assert (told.since, told.moments, told.counters) == (None, (), COUNTERS)
    assert re.search(said, told.reason), told.reason


async def test_a_log_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cure is the group."""

    def refuse(path: Path, _: float) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("ctid_asterisk.log_files.read", refuse)
    told = await recalled(replace(SETTINGS, queue_log=str(tmp_path / "queue_log")))
    odd = await recalled(replace(SETTINGS, queue_log=str(tmp_path / "\udcff")))
    assert odd.reason.startswith(f"the queue log {tmp_path}/\ufffd cannot be read")
    assert told.reason == (
        f"the queue log {tmp_path}/queue_log cannot be read (Permission denied): "
        "let ctid's user read it, by the group that owns it"
    )


def test_the_default_is_read_beside_the_pbx_alone() -> None:
    """On another machine the file of that name would be another PBX's; a path that is set is used."""
    for host in ("127.0.0.1", "::1", "localhost"):
        assert log_path(replace(SETTINGS, host=host)) == (Path(QUEUE_LOG), "")
    far = replace(SETTINGS, host="192.0.2.7", queue_log="/mnt/queue_log")
    assert log_path(far) == (Path("/mnt/queue_log"), "")


def test_counters() -> None:
    """Of the items of QueueStatus: the queues' and the members' own."""
    queue = ("Queue", "sales")
    items = [
        Message.build(("Event", "QueueParams"), queue, ("Completed", "3"), ("Abandoned", "2")),
        Message.build(("Event", "QueueMember"), queue, ("Location", "PJSIP/1001"), ("CallsTaken", "3")),
        Message.build(("Event", "QueueMember"), queue, ("Interface", "Agent:1002")),
        Message.build(("Event", "QueueEntry"), queue, ("Uniqueid", "1.1")),
    ]
    assert read_counters(items, Instant(BASE)) == Counters(
        at=Instant(BASE),
        queues=(QueueCounters(queue=QueueId("sales"), served=3, unserved=2),),
        members=(
            MemberCounters(queue=QueueId("sales"), agent=AgentId("1001"), served=3),
            MemberCounters(queue=QueueId("sales"), agent=AgentId("1002"), served=0),
        ),
    )


@pytest.mark.parametrize("figure", ["x", "", "-3", "9" * 20, "9" * 5000, "1e3", "nan", "٣"])
def test_counters_that_are_none(figure: str) -> None:
    """A figure that is no number counts as 0, and costs neither its item nor the others."""
    queue = ("Queue", "sales")
    items = [
        Message.build(("Event", "QueueParams"), queue, ("Completed", figure), ("Abandoned", "2")),
        Message.build(("Event", "QueueMember"), queue, ("Location", "PJSIP/1001"), ("CallsTaken", figure)),
    ]
    told = read_counters(items, Instant(BASE))
    assert [(one.served, one.unserved) for one in told.queues] == [(0, 2)]
    assert [(one.agent, one.served) for one in told.members] == [("1001", 0)]


def test_counters_of_nobody() -> None:
    """An item without a queue, or a member's without an interface, is left out; an odd byte is not kept."""
    items = [
        Message.build(("Event", "QueueParams"), ("Completed", "3")),
        Message.build(("Event", "QueueParams"), ("Queue", ""), ("Completed", "3")),
        Message.build(("Event", "QueueMember"), ("Location", "PJSIP/1001")),
        Message.build(("Event", "QueueMember"), ("Queue", "sales"), ("CallsTaken", "3")),
        Message.build(("Event", "QueueMember"), ("Queue", "s\udcff"), ("Location", "PJSIP/1001\udcff")),
    ]
    told = read_counters(items, Instant(BASE))
    assert told.queues == ()
    assert [(one.queue, one.agent) for one in told.members] == [("s_", "1001_")]


async def test_a_spoilt_log_can_be_kept(tmp_path: Path) -> None:
    """What does not read counts as unread; the rest is what a ledger can hold."""
    path = tmp_path / "queue_log"
    path.write_bytes(
        b"%d|1.\xff1|sales|An\xffna|ENTERQUEUE||3001|1\n" % (T + 1)
        + b"%d|1.2|sales|NONE|ENTERQUEUE||3001|%b\n" % (T + 1, b"9" * 20)
        + b"%d|1.2|sales|NONE|ABANDON|1|1|nan\n" % (T + 2)
        + b"%d|1.2|sales|NONE|ABANDON|1|1|inf\n" % (T + 2)
        + b"9" * 400
        + b"|1.3|sales|NONE|ENTERQUEUE||3001|1\n"
    )
    told = await recalled(replace(SETTINGS, queue_log=str(path)))
    assert (len(told.moments), told.unread) == (1, 4)
    ledger = Ledger(tmp_path)
    assert told.since is not None
    plan = ledger.fill(PbxId("lab"), entries_of(told), (told.since, BASE + 10))
    assert [row.entry.leg for row in plan.insert] == ["1.\ufffd1"]
    ledger.close()

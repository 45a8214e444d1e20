from hypothesis import given, settings
from hypothesis import strategies as st

from ctid.publish.backlog import IN_MEMORY, WITHOUT_DISK, Backlog, Queued


class Disk:
    """A disk that does what the spool's does, when it is told to."""

    def __init__(self, backlog: Backlog) -> None:
        self.backlog = backlog
        self.rows: dict[int, Queued] = {}
        self.most = 0

    def write(self, *, works: bool = True) -> None:
        """Write what waits, or refuse it."""
        events = self.backlog.to_write()
        if not events:
            return
        if works:
            self.rows |= {event.position: event for event in events}
            self.backlog.written()
        else:
            self.backlog.not_written()
        self.tidy()

    def read(self, *, works: bool = True) -> None:
        """Read what is asked for, or refuse it."""
        positions = self.backlog.to_read()
        if not positions:
            return
        if works:
            self.backlog.read([self.rows[position] for position in positions])
        else:
            self.backlog.not_read()
        self.tidy()

    def tidy(self) -> None:
        """Delete what is done with."""
        for position in (*self.backlog.delivered, *self.backlog.overrun):
            self.rows.pop(position, None)
        self.backlog.delivered, self.backlog.overrun = [], []
        self.most = max(self.most, len(self.rows))


def put(backlog: Backlog, count: int) -> None:
    """Put events in."""
    for _ in range(count):
        backlog.put("t", str(backlog.position + 1).encode())


def take_all(backlog: Backlog, disk: Disk | None = None) -> list[int]:
    """Take and deliver everything that comes; returns the positions."""
    found: list[int] = []
    while True:
        if backlog.peek() is None:
            if disk is not None:
                disk.write()
                disk.read()
            if backlog.peek() is None:
                return found
        event = backlog.take()
        backlog.arrived(event)
        found.append(event.position)


def test_memory_alone_while_the_broker_is_fast() -> None:
    """With the broker there and nothing behind, no event is to be written."""
    backlog = Backlog()
    backlog.online = True
    put(backlog, 3)
    assert not backlog.to_write()
    assert take_all(backlog) == [1, 2, 3]
    assert backlog.waiting == 0


def test_all_goes_to_disk_while_the_broker_is_away() -> None:
    """Events of an outage are written, and come back in their order before newer ones."""
    backlog = Backlog()
    disk = Disk(backlog)
    put(backlog, 3)
    disk.write()
    assert backlog.on_disk == 3
    backlog.online = True
    put(backlog, 2)
    assert take_all(backlog, disk) == [1, 2, 3, 4, 5]
    disk.tidy()
    assert disk.rows == {}


def test_what_was_on_its_way_is_sent_again_first() -> None:
    """Events without an acknowledgement at the loss are sent again, in order, before those that waited."""
    backlog = Backlog()
    disk = Disk(backlog)
    backlog.online = True
    put(backlog, 4)
    sent = [backlog.take() for _ in range(3) if backlog.peek()]
    backlog.arrived(sent[0])
    backlog.go_offline()
    backlog.arrived(sent[1])
    put(backlog, 1)
    disk.write()
    backlog.online = True
    assert take_all(backlog, disk) == [2, 3, 4, 5]


def test_slow_broker_spills_and_keeps_order() -> None:
    """More than memory is to hold goes to disk, and is delivered behind what memory held."""
    backlog = Backlog()
    disk = Disk(backlog)
    backlog.online = True
    put(backlog, 2 * IN_MEMORY)
    disk.write()
    assert backlog.on_disk > 0
    assert backlog.is_behind
    assert take_all(backlog, disk) == list(range(1, 2 * IN_MEMORY + 1))


def test_oldest_go_at_the_bound_of_the_disk() -> None:
    """At the bound the oldest events are dropped and counted, and the newest are delivered."""
    backlog = Backlog(on_disk=10)
    disk = Disk(backlog)
    for _ in range(25):
        put(backlog, 1)
        disk.write()
    assert disk.most <= 11
    assert (backlog.dropped, backlog.unsaid) == (15, 15)
    backlog.online = True
    assert take_all(backlog, disk) == list(range(16, 26))


def test_without_a_disk_memory_is_bounded() -> None:
    """With a disk that refuses, the newest events stay in memory, within a bound; the rest is counted."""
    backlog = Backlog(in_memory=10)
    disk = Disk(backlog)
    for _ in range(100):
        put(backlog, 1)
        disk.write(works=False)
    assert backlog.waiting == 10 * WITHOUT_DISK
    assert backlog.dropped == 100 - 10 * WITHOUT_DISK
    backlog.online = True
    assert take_all(backlog) == list(range(51, 101))


def test_earlier_run_is_delivered_first() -> None:
    """What an earlier run left on disk goes out first, and new positions are above it."""
    backlog = Backlog(first=100)
    disk = Disk(backlog)
    disk.rows = {n: Queued(n, "t", b"") for n in (7, 9)}
    put(backlog, 1)
    backlog.adopt([7, 9], unsaid=4)
    assert backlog.unsaid == 4
    backlog.online = True
    assert take_all(backlog, disk) == [7, 9, 100]


def test_drops_are_said_until_it_arrives() -> None:
    """A count of drops that the connection lost is told again, with what came on top."""
    backlog = Backlog()
    backlog.lose(3)
    assert backlog.say_dropped() == 3
    assert backlog.is_saying
    backlog.lose(2)
    backlog.go_offline()
    assert backlog.say_dropped() == 5
    backlog.said()
    assert (backlog.unsaid, backlog.is_saying, backlog.dropped) == (0, False, 5)


def test_damaged_disk_is_counted() -> None:
    """What a disk lost is dropped and counted, and later events are not held up by it."""
    backlog = Backlog()
    disk = Disk(backlog)
    put(backlog, 5)
    disk.write()
    backlog.online = True
    assert len(backlog.to_read()) == 5
    backlog.unreadable()
    put(backlog, 1)
    assert backlog.dropped == 5
    assert take_all(backlog) == [6]


STEPS = st.lists(
    st.sampled_from(
        ["put", "put", "take", "take", "arrive", "arrive", "write", "refuse", "read", "fail", "up", "down"]
    ),
    max_size=200,
)


@given(STEPS)
@settings(max_examples=400, deadline=None)
def test_no_order_of_steps_loses_or_disorders(steps: list[str]) -> None:
    """Whatever happens in whatever order, each event arrives, first arrivals are in order, none is lost."""
    backlog = Backlog(in_memory=4)
    disk = Disk(backlog)
    sent: list[Queued] = []
    arrived: list[int] = []
    put_in = 0

    def arrive(event: Queued) -> None:
        backlog.arrived(event)
        if event.position not in arrived:
            arrived.append(event.position)

    for step in steps:
        match step:
            case "put" if backlog.waiting < 4 * WITHOUT_DISK:
                put(backlog, 1)
                put_in += 1
            case "take" if backlog.peek() is not None:
                sent.append(backlog.take())
            case "arrive" if sent:
                arrive(sent.pop(0))
            case "write" | "refuse":
                disk.write(works=step == "write")
            case "read" | "fail":
                disk.read(works=step == "read")
            case "up":
                backlog.online = True
            case "down":
                backlog.go_offline()
                sent.clear()
    backlog.go_offline()
    backlog.online = True
    for position in take_all(backlog, disk):
        if position not in arrived:
            arrived.append(position)
    assert backlog.dropped == 0
    assert arrived == list(range(1, put_in + 1))
    assert backlog.waiting == 0
    disk.tidy()
    assert disk.rows == {}

"""A link that begins at any moment of a call, with lists as far ahead of the events as they may be."""

from collections.abc import Callable

import pytest

from ctid_asterisk.wire import Message
from helpers.ami_words import Channel, Line, caller, dialled, member_event, member_item, message, queue_entry
from races.wired import Wired

Seen = dict[str, object]


class World(Line):
    """A PBX that keeps each event it tells, and what its lists have once that has happened."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Message] = []
        self.lists: list[tuple[list[Message], list[Message]]] = []
        self.rests: list[int] = []
        """Of the events after which nothing more happens for a while, their places."""
        self._up: dict[str, Channel] = {}
        self._waits: dict[str, tuple[Channel, str]] = {}
        self._member: dict[str, str] = {}

    def hear(self, event: Message) -> list[object]:  # type: ignore[override]
        """Tell an event, whose channels are as they are already."""
        self.told.append(event)
        channels = [channel.item("00:00:09") for channel in self._up.values()]
        queues = [member_item(**self._member)]
        queues += [
            queue_entry(channel, queue, place, 5)
            for place, (channel, queue) in enumerate(self._waits.values(), 1)
        ]
        self.lists.append((channels, queues))
        return []

    def rest(self) -> None:
        """Nothing more happens for a while."""
        self.rests.append(len(self.told) - 1)

    def appears(self, *channels: Channel) -> None:
        """Each channel is created."""
        for channel in channels:
            self._up[channel.unique] = channel
            super().appears(channel)

    def hangs_up(self, *channels: Channel, cause: str = "16") -> None:
        """Each channel ends."""
        for channel in channels:
            self._up.pop(channel.unique)
            super().hangs_up(channel, cause=cause)

    def joins(self, channel: Channel, queue: str = "support", position: int = 1) -> None:
        """The caller joins a queue."""
        self._waits[channel.unique] = (channel, queue)
        super().joins(channel, queue, position)

    def leaves_queue(self, channel: Channel, queue: str = "support") -> list[object]:  # type: ignore[override]
        """The caller is no longer waiting."""
        self._waits.pop(channel.unique)
        return super().leaves_queue(channel, queue)  # type: ignore[return-value]

    def member(self, kind: str = "QueueMemberStatus", **changed: str) -> None:
        """The member is another than before."""
        self._member |= changed
        self.hear(member_event(kind, **self._member))


def answered(world: World) -> None:
    """A queue's call from the dialling to its end: she pauses in it, he hangs up."""
    near = caller("PJSIP/3001-00000001", "1.1", "7000", queue="support")
    far = dialled("PJSIP/1001-00000002", "1.2", "1.1", application="AppQueue")
    world.member()
    world.appears(near)
    world.gets(near, "6")
    world.joins(near)
    world.rest()
    world.appears(far)
    world.queue_tells("AgentCalled", near, far)
    world.dials(near, far)
    world.gets(far, "5")
    world.member(Status="6")
    world.rest()
    world.gets(far, "6")
    world.dial_ends(near, far)
    world.leaves_queue(near)
    world.queue_tells("AgentConnect", near, far, HoldTime="2", RingTime="1")
    world.member(Status="2", InCall="1")
    world.enters("b1", far, near)
    world.rest()
    world.member("QueueMemberPause", Paused="1", PausedReason="lunch")
    world.rest()
    world.leaves("b1", near)
    world.queue_tells("AgentComplete", near, far, HoldTime="2", TalkTime="9", Reason="caller")
    world.leaves("b1", far)
    world.hangs_up(far)
    world.member(Status="1", InCall="0", CallsTaken="1")
    world.hangs_up(near)
    world.member()
    world.rest()


def declined(world: World) -> None:
    """She declines, is offered him again, is paused meanwhile, and he gives up."""
    near = caller("PJSIP/3001-00000001", "1.1", "7000", queue="support")
    world.member()
    world.appears(near)
    world.gets(near, "6")
    world.joins(near)
    far = near
    for number in ("2", "3"):
        far = dialled(f"PJSIP/1001-0000000{number}", f"1.{number}", "1.1", application="AppQueue")
        world.appears(far)
        world.queue_tells("AgentCalled", near, far)
        world.dials(near, far)
        world.gets(far, "5")
        world.member(Status="6")
        world.rest()
        if number == "2":
            world.dial_ends(near, far, "BUSY")
            world.hangs_up(far)
            world.queue_tells("AgentRingNoAnswer", near, far, RingTime="2000")
            world.member(Status="1")
            world.rest()
    world.hear(message("QueueCallerAbandon", near.block(), Queue="support", Position="1", HoldTime="9"))
    world.leaves_queue(near)
    world.hangs_up(far)
    world.member(Status="1")
    world.member("QueueMemberPause", Paused="1", PausedReason="lunch")
    world.hangs_up(near)
    world.rest()


def direct(world: World) -> None:
    """A call straight to her; the queue that she is a member of has nothing to do with it."""
    near = caller("PJSIP/3001-00000001", "1.1", "1001")
    far = dialled("PJSIP/1001-00000002", "1.2", "1.1")
    world.member()
    world.appears(near, far)
    world.dials(near, far)
    world.gets(far, "5")
    world.member(Status="6")
    world.rest()
    world.gets(far, "6")
    world.dial_ends(near, far)
    world.gets(near, "6")
    world.enters("b1", far, near)
    world.member(Status="2")
    world.rest()
    world.leaves("b1", far, near)
    world.hangs_up(far, near)
    world.member(Status="1")
    world.rest()


def by_local(world: World) -> None:
    """The same of a member behind a Local channel that stays, as FreePBX makes them."""
    near = caller("PJSIP/3001-00000001", "1.1", "7002", queue="support")
    one = dialled("Local/1001@from-queue-00000001;1", "1.2", "1.1", application="AppQueue")
    two = Channel("Local/1001@from-queue-00000001;2", "1.3", "1.1", state="4")
    two.exten, two.application, two.data = "1001", "Dial", "PJSIP/1001,60"
    far = dialled("PJSIP/1001-00000004", "1.4", "1.1")
    local = {"Interface": "Local/1001@from-queue/n", "StateInterface": "hint:1001@ext-local"}
    world.member(**local)
    world.appears(near)
    world.gets(near, "6")
    world.joins(near)
    world.rest()
    world.appears(one, two)
    world.hear(message("LocalBridge", one.block("LocalOne"), two.block("LocalTwo")))
    world.queue_tells("AgentCalled", near, one, interface=local["Interface"])
    world.dials(near, one)
    world.appears(far)
    world.dials(two, far)
    world.gets(far, "5")
    world.gets(one, "5")
    world.member(Status="6")
    world.rest()
    world.gets(far, "6")
    world.dial_ends(two, far)
    world.gets(two, "6")
    world.enters("b2", two, far)
    world.gets(one, "6")
    world.dial_ends(near, one)
    world.leaves_queue(near)
    world.queue_tells("AgentConnect", near, one, interface=local["Interface"], HoldTime="2", RingTime="1")
    world.member(Status="2", InCall="1")
    world.enters("b1", one, near)
    world.rest()
    world.leaves("b2", far)
    world.leaves("b2", two)
    world.hangs_up(far)
    world.leaves("b1", one)
    world.hangs_up(two, one)
    world.leaves("b1", near)
    world.member(Status="1", InCall="0", CallsTaken="1")
    world.hangs_up(near)
    world.rest()


def seen(wire: Wired) -> Seen:
    """What is shown that lists tell as well as events do."""
    agent = wire.agent()
    return {
        "agent": (agent.state, agent.call, [(m.paused, m.paused_reason) for m in agent.queues]),
        "waiting": wire.waiting(),
        "calls": {
            call.id: (call.state, sorted((str(p.device), p.agent, p.role) for p in call.parties))
            for call in wire.store.calls.values()
        },
    }


def course(wire: Wired, world: World, first: int, last: int) -> dict[int, Seen]:
    """What is shown at each rest from one event to another; at the end with no after-call work any more."""
    shown: dict[int, Seen] = {}
    for place, event in enumerate(world.told[first : last + 1], first):
        wire.hear(event)
        if place in world.rests:
            if place == world.rests[-1]:
                wire.wait(20.0)
            shown[place] = seen(wire)
    return shown


@pytest.mark.parametrize("scene", [answered, by_local, declined, direct])
def test_a_link_that_begins_at_any_moment_of_a_call_sees_it_as_one_that_was_there(
    scene: Callable[[World], None],
) -> None:
    """From whichever event on it hears, and however far the lists are ahead: the same at the next rest."""
    world = World()
    scene(world)
    always = course(Wired(), world, 0, len(world.told))
    for ahead in range(1, len(world.told) - 1):
        rest = next(place for place in world.rests if place >= ahead)
        for first in range(1, ahead + 2, 2):
            wire = Wired()
            wire.drops()
            wire.links()
            channels, queues = world.lists[ahead]
            wire.lists(*channels, queues=queues)
            for event in world.told[first : ahead + 1]:
                wire.hear(event)
            wire.fence()
            shown = course(wire, world, ahead + 1, rest) if rest > ahead else {rest: seen(wire)}
            assert shown[rest] == always[rest], f"heard from {first}, lists of {ahead}, shown at {rest}"


@pytest.mark.parametrize("scene", [answered, by_local, declined, direct])
def test_a_link_that_was_away_for_any_part_of_a_call_sees_it_as_one_that_was_there(
    scene: Callable[[World], None],
) -> None:
    """Lost after any event and back after any other: what ended unseen is over, and what began is there."""
    world = World()
    scene(world)
    always = course(Wired(), world, 0, len(world.told))
    for back in range(2, len(world.told) - 1):
        rest = next(place for place in world.rests if place >= back)
        for lost in range(1, back, 4):
            wire = Wired()
            course(wire, world, 0, lost)
            wire.drops()
            wire.links()
            channels, queues = world.lists[back]
            wire.lists(*channels, queues=queues)
            wire.hear(world.told[back])
            wire.fence()
            shown = course(wire, world, back + 1, rest) if rest > back else {rest: seen(wire)}
            assert shown[rest] == always[rest], f"lost after {lost}, back at {back}, shown at {rest}"

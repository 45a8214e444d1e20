import pytest

from ctid.model.words import AgentState
from helpers.ami_words import Channel, member_event
from races.wired import Wired, customer, phone


@pytest.fixture
def wire() -> Wired:
    """A PBX with nothing in it, and ctid that knows it."""
    return Wired()


@pytest.fixture
def staffed(wire: Wired) -> Wired:
    """1001 and 1002 are in `support`."""
    wire.hear(member_event("QueueMemberAdded"))
    two = {"Interface": "PJSIP/1002", "StateInterface": "PJSIP/1002", "MemberName": "Bruno"}
    wire.hear(member_event("QueueMemberAdded", **two))
    return wire


@pytest.fixture
def queued(staffed: Wired) -> tuple[Wired, Channel]:
    """A customer waits in it."""
    near = customer()
    staffed.appears(near)
    staffed.gets(near, "6")
    staffed.joins(near)
    return staffed, near


@pytest.fixture
def talking(queued: tuple[Wired, Channel]) -> tuple[Wired, Channel, Channel]:
    """She talks with him."""
    wire, near = queued
    far = phone()
    wire.serves(near, far)
    assert wire.agent().state is AgentState.BUSY
    return wire, near, far

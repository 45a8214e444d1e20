from ctid.model.ids import AgentId, QueueId
from ctid_asterisk.roster import Roster
from helpers.ami_words import member_event, member_item, message

ALICE, SUPPORT, SALES = AgentId("1001"), QueueId("support"), QueueId("sales")


def test_who_is_a_member_of_what() -> None:
    """By events and by lists, whose keys have other names."""
    roster = Roster()
    roster.read(member_event("QueueMemberAdded", Paused="1", PausedReason="lunch"))
    roster.read(member_item(Queue="sales", Interface="Local/1001@from-queue/n", Penalty="3"))
    (here,) = roster.members(ALICE, SUPPORT)
    assert (here.interface, here.name, here.paused, here.reason) == (
        "PJSIP/1001",
        "Alice Martin",
        True,
        "lunch",
    )
    (there,) = roster.members(ALICE, SALES)
    assert (there.interface, there.penalty) == ("Local/1001@from-queue/n", 3)
    assert roster.members(AgentId("1002"), SUPPORT) == []


def test_who_left_is_remembered() -> None:
    """In the queue that she asks for best; else where she is a member, else where she was."""
    roster = Roster()
    assert roster.last_known(ALICE, SUPPORT) is None
    roster.read(member_event("QueueMemberAdded", Penalty="5"))
    roster.read(member_event("QueueMemberRemoved", Penalty="5"))
    assert roster.members(ALICE, SUPPORT) == []
    known = roster.last_known(ALICE, SUPPORT)
    assert known is not None
    assert (known.penalty, known.present) == (5, False)
    roster.read(member_event("QueueMemberAdded", Queue="sales", Interface="Local/1001@x/n"))
    elsewhere = roster.last_known(ALICE, QueueId("desk"))
    assert elsewhere is not None
    assert elsewhere.interface == "Local/1001@x/n"


def test_a_whole_list_says_who_is_no_member() -> None:
    """And which queues there are, by their own names."""
    roster = Roster()
    roster.read(member_event())
    roster.replace_present([message("QueueParams", Queue="two words")])
    assert roster.members(ALICE, SUPPORT) == []
    assert roster.last_known(ALICE, SUPPORT) is not None
    assert roster.queue_name(QueueId("two_words")) == "two words"
    assert roster.queue_name(SUPPORT) is None


def test_what_is_no_members_is_left_out() -> None:
    """Items without a queue or an interface, a penalty that is none, and callers."""
    roster = Roster()
    roster.read(message("QueueMemberStatus", Interface="PJSIP/1001"))
    roster.read(message("QueueMemberStatus", Queue="support"))
    roster.read(message("QueueEntry", Queue="support", Location="PJSIP/1001"))
    assert roster.last_known(ALICE, SUPPORT) is None
    roster.read(member_event(Penalty="x"))
    assert roster.members(ALICE, SUPPORT)[0].penalty == 0


def test_by_which_phone_an_agent_is_reached() -> None:
    """Her interface, or the phone whose state counts for it; no Local channel, and no hint."""
    roster = Roster()
    assert roster.interface(ALICE) == ""
    roster.read(member_event(Interface="Local/1001@x/n", StateInterface="hint:1001@ext-local"))
    assert roster.interface(ALICE) == ""
    roster.read(member_event(Interface="Local/1001@x/n", StateInterface="PJSIP/desk"))
    assert roster.interface(ALICE) == "PJSIP/desk"
    roster.replace_present([member_item()])
    assert roster.interface(ALICE) == "PJSIP/1001"


def test_what_is_dialled_to_reach_her() -> None:
    """As a queue has her now, else as one had her; nobody knows of who was in none."""
    roster = Roster()
    assert roster.address_of(ALICE) is None
    roster.read(member_event("QueueMemberAdded", Interface="Local/1001@from-queue/n"))
    roster.read(member_event("QueueMemberRemoved", Interface="Local/1001@from-queue/n"))
    assert roster.address_of(ALICE) == "Local/1001@from-queue/n"
    roster.read(member_event("QueueMemberAdded", Queue="sales", Interface="PJSIP/1001"))
    assert roster.address_of(ALICE) == "PJSIP/1001"
    assert roster.address_of(AgentId("1002")) is None

from ctid.model.facts import DeviceInfo, QueueInfo
from ctid.model.ids import AgentId, DeviceId, QueueId
from ctid.model.words import DeviceState, LegState
from ctid_asterisk.lists import Lists, load, snapshot
from helpers.ami_words import (
    Channel,
    Line,
    caller,
    dialled,
    lists,
    member_event,
    member_item,
    message,
    queue_entry,
)
from helpers.queue_call import ALICE, GRACE, LOCAL, SUPPORT, agent, customer, served


class TestLists:
    """A snapshot from the lists alone."""

    def test_what_the_lists_tell(self) -> None:
        """Queues, members, devices and legs are all there, and the age of a leg is its duration."""
        line, near = Line(), customer(state="6", queue="support")
        near.exten = "7000"
        load(
            line.normalizer,
            lists(
                near.item("01:02:03"),
                queues=(
                    message("QueueParams", Queue="support", Strategy="rrmemory"),
                    message("QueueParams", Queue="sales"),
                    member_item(Status="1"),
                    queue_entry(near, "support", 1, 40),
                    queue_entry(customer("8.8"), "support", 2, 3),
                    message("QueueStatusComplete"),
                ),
                devices=(
                    message("DeviceStateChange", Device="PJSIP/1001", State="NOT_INUSE"),
                    message("DeviceStateChange", Device="Queue:support", State="NOT_INUSE"),
                ),
            ),
            line.now,
        )
        told = snapshot(line.normalizer, line.now, ())
        assert told.queues == (
            QueueInfo(id=SUPPORT, strategy="rrmemory"),
            QueueInfo(id=QueueId("sales"), strategy=""),
        )
        assert [member.agent for member in told.members] == [AgentId("1001")]
        assert told.devices == (DeviceInfo(id=DeviceId("1001"), state=DeviceState.IDLE),)
        (leg,) = told.legs
        assert (leg.queue, leg.position, leg.queued_at) == (SUPPORT, 1, line.now - 40)
        assert (leg.created_at, leg.dialled, leg.incoming) == (line.now - 3723, "7000", True)

    def test_an_offer_and_a_call_are_found_again(self) -> None:
        """The channel that a queue dialled tells whom its member is offered, or serves."""
        line = Line()
        near, far = customer(state="6", queue="support"), agent(state="5")
        line.loads(lists(near.item(), far.item(), queues=(member_item(),)))
        assert line.members[ALICE].offered == "1.1"
        near.bridge = far.bridge = "b1"
        far.state = "6"
        line.loads(lists(near.item(), far.item(), queues=(member_item(InCall="1"),)))
        assert line.members[ALICE].serving == "1.1"
        assert line.legs["1.4"].state is LegState.CONNECTED
        line.hangs_up(far)
        assert line.members[ALICE].serving is None

    def test_100_is_not_offered_what_rings_at_1001(self) -> None:
        """A member's interface is compared with the whole of the channel's name."""
        line, far = Line(), agent(state="5")
        queues = (member_item(Interface="PJSIP/100"), member_item(Queue="sales"), member_item())
        line.loads(lists(customer(state="6", queue="support").item(), far.item(), queues=queues))
        offered = {key: member.offered for key, member in line.members.items()}
        assert offered == {("support", "100"): None, ("sales", "1001"): None, ALICE: "1.1"}

    def test_a_local_members_call_is_found_again(self) -> None:
        """The pair is found by its names, and its member by the half that the queue dialled."""
        line, near = Line(), customer(state="6", queue="support")
        one = dialled(f"{LOCAL}-00000000;1", "1.2", "1.1", state="6", application="AppQueue")
        two, phone = (
            Channel(f"{LOCAL}-00000000;2", "1.3", "1.1", state="6"),
            dialled("PJSIP/1007-5", "1.4", "1.1"),
        )
        alone = Channel("Local/1@q-00000009;1", "9.1", state="6")
        near.bridge = one.bridge = "near"
        two.bridge = phone.bridge = "far"
        items = [channel.item() for channel in (near, one, two, phone, alone)]
        line.loads(lists(*items, queues=(member_item(Interface=f"{LOCAL}/n", StateInterface=""),)))
        assert line.members[GRACE].serving == "1.1"
        assert {leg.conversation for leg in line.legs.values()} == {"near"}

    def test_where_a_take_over_sent_a_customer_is_not_what_he_dialled(self) -> None:
        """His extension is then a session of ours, and nobody's number."""
        line, near = Line(), customer(state="6")
        near.application, near.data, near.exten = "Stasis", "ctid,takeover,s1", "s1"
        line.loads(lists(near.item()))
        assert line.legs["1.1"].dialled == ""

    def test_hold_is_found_again(self) -> None:
        """The Status list marks the one who was put on hold: the other one holds."""
        line, near, far, gone = Line(), customer(state="6"), agent(state="6"), customer("9.9")
        near.bridge = far.bridge = "b1"

        def holding(*held: Channel) -> dict[str, bool]:
            holds = tuple(channel.hold_item(held=channel in held) for channel in (near, far, gone))
            line.loads(lists(near.item(), far.item(), holds=holds))
            return {unique: leg.held for unique, leg in line.legs.items()}

        assert holding(near, gone) == {"1.1": False, "1.4": True}
        assert holding(near, far) == {"1.1": True, "1.4": True}
        assert holding() == {"1.1": False, "1.4": False}
        far.bridge = "b2"
        assert holding(near) == {"1.1": False, "1.4": False}

    def test_hold_behind_a_local_pair_is_found_again(self) -> None:
        """The half that passes it on is marked as well, and holds nothing."""
        line, near = Line(), customer(state="6")
        one, two = Channel("Local/7@q-1;1", "1.2", "1.1"), Channel("Local/7@q-1;2", "1.3", "1.1")
        phone = dialled("PJSIP/1007-5", "1.4", "1.1", state="6")
        near.bridge = one.bridge = "near"
        two.bridge = phone.bridge = "far"
        items = [channel.item() for channel in (near, one, two, phone)]
        line.loads(lists(*items, holds=(near.hold_item(held=True), two.hold_item(held=True))))
        assert {unique: leg.held for unique, leg in line.legs.items()} == {"1.1": False, "1.4": True}

    def test_the_first_of_a_call_is_told_first(self) -> None:
        """The list is in no order and ages are in whole seconds: the ids say who called whom."""
        line, near, far = Line(), customer("17.9", state="6"), agent("17.10", "17.9", state="6")
        line.loads(lists(far.item(), near.item()))
        assert list(line.legs) == ["17.9", "17.10"]

    def test_a_channel_of_ours_is_no_incoming_one(self) -> None:
        """A supervisor's channel in the application called nobody."""
        line, her = Line(), Channel("PJSIP/2001-1", "ctid-s1-phone-1000.1", state="6")
        her.application, her.data = "Stasis", "ctid"
        line.loads(lists(her.item()))
        assert not line.normalizer.channels.by_id[her.unique].incoming
        assert line.legs == {}

    def test_lists_forget_what_they_do_not_hold(self) -> None:
        """What was known before and is not in them is no more, and its late events tell nothing."""
        line, near, _ = served()
        line.loads(lists())
        assert (line.legs, line.members) == ({}, {})
        assert line.gets(near, "6") == []

    def test_what_the_snapshot_told_is_not_told_again(self) -> None:
        """Events that agree with it are silent."""
        line, near = Line(), customer(state="6")
        line.loads(lists(near.item(), queues=(member_item(),)))
        assert line.gets(near, "6") == []
        assert line.hear(member_event()) == []

    def test_a_parked_caller_and_an_agent_of_the_pool(self) -> None:
        """He is parked, or gone meanwhile; her standing channel is no call, and her phone is the pool's."""
        line, near, her = Line(), customer(state="6"), caller("PJSIP/1006-00000009", "9.9", "*40", state="6")
        member = member_item(Interface="Local/1006@agent-pool", StateInterface="Agent:1006")
        parked = [
            message("ParkedCall", ParkeeUniqueid=unique, ParkingSpace="701")
            for unique in (near.unique, "8.8")
        ]
        agents = [
            message("Agents", Agent="1005", Status="AGENT_LOGGEDOFF"),
            message("Agents", her.block(), Agent="1006", Status="AGENT_IDLE"),
        ]
        channels = [near.item(), her.item()]
        line.loads(Lists(channels, (member,), (), (), parked=parked, agents=agents))
        assert {unique: leg.parked for unique, leg in line.legs.items()} == {near.unique: "701"}
        assert [told.device for told in line.members.values()] == ["1006"]

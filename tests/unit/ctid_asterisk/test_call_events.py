from ctid.model.facts import CallParked, CallPickedUp, CallRetrieved, CallTransferred, LegChanged
from ctid.model.words import TransferKind
from ctid_asterisk.wire import Message
from helpers.ami_words import Channel, Line, Pairs, caller, dialled, message


def talking() -> tuple[Line, Channel, Channel]:
    """3001 talks with 1001."""
    line, near = Line(), caller("PJSIP/3001-1", "1.1", "1001", state="6")
    far = dialled("PJSIP/1001-2", "1.4", "1.1", state="6")
    line.appears(near, far)
    line.dials(near, far)
    line.enters("b1", far, near)
    return line, near, far


def blind(by: Pairs, **fields: str) -> Message:
    """A BlindTransfer to 2001."""
    return message(
        "BlindTransfer",
        by,
        **{"Result": "Success", "Context": "from-internal", "Extension": "2001", **fields},
    )


class TestBlindTransfer:
    """A call that is passed on unannounced."""

    def test_it_is_told_with_where_to(self) -> None:
        """Of the leg that passed it on."""
        line, _, far = talking()
        line.hear(blind(far.block("Transferer")))
        (moment,) = line.moments
        assert isinstance(moment, CallTransferred)
        assert (moment.leg, moment.kind, moment.to) == ("1.4", TransferKind.BLIND, "2001")
        assert moment.source == "BlindTransfer"

    def test_what_failed_or_is_ours_is_none(self) -> None:
        """A refused one changes nothing, and a take-over is told as the supervision that it is."""
        line, _, far = talking()
        assert line.hear(blind(far.block("Transferer"), Result="Fail")) == []
        assert line.hear(blind(far.block("Transferer"), Context="ctid-takeover")) == []


class TestAttendedTransfer:
    """A call that is passed on after a consultation."""

    def consulting(self) -> tuple[Line, Channel, Channel, Channel, Channel]:
        """1001 holds 3001 and talks with 1005 on a second line."""
        line, near, far = talking()
        second = caller("PJSIP/1001-5", "2.1", "1005")
        target = dialled("PJSIP/1005-6", "2.2", "2.1", state="6")
        line.hear(message("Hold", far.block()))
        line.appears(second, target)
        line.dials(second, target)
        line.enters("b2", second, target)
        return line, near, far, second, target

    def event(self, *blocks: Pairs, **fields: str) -> Message:
        """An AttendedTransfer."""
        return message("AttendedTransfer", *blocks, **{"Result": "Success", "DestType": "Bridge", **fields})

    def test_it_is_told_with_who_was_consulted(self) -> None:
        """By the number of the target's phone."""
        line, near, far, second, target = self.consulting()
        blocks = (far.block("OrigTransferer"), second.block("SecondTransferer"), near.block("Transferee"))
        line.hear(self.event(*blocks, target.block("TransferTarget")))
        (moment,) = line.moments
        assert isinstance(moment, CallTransferred)
        assert (moment.leg, moment.kind, moment.to) == ("1.4", TransferKind.ATTENDED, "1005")

    def test_a_trunk_has_the_number_of_the_caller_id(self) -> None:
        """An endpoint that is no extension says nothing; without any number it is what was dialled."""
        line, _, far, second, target = self.consulting()
        line.hear(message("Rename", Channel=target.name, Newname="PJSIP/trunk-6", Uniqueid="2.2"))
        target.number = "0033123"
        both = (far.block("OrigTransferer"), second.block("SecondTransferer"))
        line.hear(self.event(*both, target.block("TransferTarget")))
        target.number = "<unknown>"
        line.hear(self.event(*both, target.block("TransferTarget")))
        line.hear(self.event(far.block("OrigTransferer"), far.block("SecondTransferer")))
        line.hangs_up(second)
        line.hear(self.event(*both))
        assert [moment.to for moment in line.moments if isinstance(moment, CallTransferred)] == [
            "0033123",
            "1005",
            "",
            "",
        ]

    def test_what_failed_is_none(self) -> None:
        """Nothing was passed on."""
        line, _, far, second, _ = self.consulting()
        both = (far.block("OrigTransferer"), second.block("SecondTransferer"))
        assert line.hear(self.event(*both, Result="Fail", DestType="Fail")) == []

    def test_three_who_talk_hold_nobody(self) -> None:
        """She stays in the call, and the hold of her consultation is over without an event of its own."""
        line, _, far, _, _ = self.consulting()
        assert line.legs["1.4"].held
        gone = Channel("PJSIP/1001-9", "9.9")
        line.hear(
            self.event(far.block("OrigTransferer"), gone.block("SecondTransferer"), DestType="Threeway")
        )
        assert not line.legs["1.4"].held
        assert line.moments == []

    def test_the_customer_rings_on_where_she_had_it_ring(self) -> None:
        """She joins both while 1005 still rings: what rings for her now rings for him."""
        line, near, far = talking()
        second, target = (
            caller("PJSIP/1001-5", "2.1", "1005"),
            dialled("PJSIP/1005-6", "2.2", "2.1", state="5"),
        )
        line.appears(second, target)
        line.dials(second, target)
        blocks = (far.block("OrigTransferer"), second.block("SecondTransferer"), near.block("Transferee"))
        line.hear(self.event(*blocks, DestType="App", DestApp="Dial"))
        assert line.normalizer.channels.by_id["2.2"].for_whom == "1.1"
        line.hangs_up(second)
        assert line.hear(self.event(*blocks, DestType="App", DestApp="Dial"))[1:] == []


class TestPickup:
    """A call that is taken by another phone."""

    def test_it_is_told_with_whose_it_was(self) -> None:
        """The leg that took it, and the one at which it rang."""
        line, near = Line(), caller("PJSIP/3001-1", "1.1", "1001")
        rung, taker = dialled("PJSIP/1001-2", "1.4", "1.1", state="5"), caller("PJSIP/1005-3", "2.1", "*8")
        line.appears(near, rung, taker)
        line.hear(message("Pickup", taker.block(), rung.block("Target")))
        (moment,) = line.moments
        assert isinstance(moment, CallPickedUp)
        assert (moment.leg, moment.target) == ("2.1", "1.4")

    def test_of_a_phone_that_is_gone_it_is_told_as_well(self) -> None:
        """A late event of a channel that the lists do not have any more."""
        line, taker = Line(), caller("PJSIP/1005-3", "2.1", "*8")
        line.hear(message("Pickup", taker.block(), Channel("PJSIP/1001-2", "1.4").block("Target")))
        assert len(line.moments) == 1


class TestParking:
    """A party who waits in a lot."""

    def lot(self, event: str, parkee: Channel, place: str = "701") -> Message:
        """An event of a parking lot."""
        return message(event, parkee.block("Parkee"), ParkingSpace=place, Parkinglot="default")

    def test_parked_and_retrieved(self) -> None:
        """The leg bears its place meanwhile."""
        line, near, _ = talking()
        line.hear(self.lot("ParkedCall", near))
        assert line.legs["1.1"].parked == "701"
        line.hear(self.lot("UnParkedCall", near))
        assert line.legs["1.1"].parked == ""
        parked, back = line.moments
        assert isinstance(parked, CallParked)
        assert isinstance(back, CallRetrieved)
        assert (parked.leg, parked.place, back.by) == ("1.1", "701", "retriever")

    def test_the_ways_out(self) -> None:
        """Nobody took him, or he gave up."""
        line, near, _ = talking()
        line.hear(self.lot("ParkedCallTimeOut", near))
        line.hear(self.lot("ParkedCallGiveUp", near))
        assert [moment.by for moment in line.moments if isinstance(moment, CallRetrieved)] == [
            "timeout",
            "caller",
        ]

    def test_a_half_that_is_parked_parks_its_party(self) -> None:
        """Behind a pair the customer is in the lot; when the pair stands aside she is there herself."""
        line, near = Line(), caller("PJSIP/3001-1", "1.1", "7002", state="6")
        one, two = Channel("Local/7@q-1;1", "1.2", "1.1"), Channel("Local/7@q-1;2", "1.3", "1.1", state="4")
        line.appears(near, one, two)
        line.hear(message("LocalBridge", LocalOneUniqueid="1.2", LocalTwoUniqueid="1.3"))
        line.enters("near", near, one)
        line.hear(self.lot("ParkedCall", two))
        assert line.legs["1.1"].parked == "701"
        assert [moment.leg for moment in line.moments if isinstance(moment, CallParked)] == ["1.1"]
        line.hear(self.lot("ParkedCallSwap", near))
        assert line.legs["1.1"].parked == "701"
        line.hangs_up(one, two)
        assert line.legs["1.1"].parked == "701"
        line.hear(self.lot("UnParkedCall", near))
        assert line.legs["1.1"].parked == ""

    def test_a_channel_that_is_gone_is_nowhere(self) -> None:
        """The moments are told all the same."""
        line, gone = Line(), caller("PJSIP/3001-1", "1.1", "7002")
        line.hear(self.lot("ParkedCall", gone))
        line.hear(self.lot("ParkedCallSwap", gone))
        line.hear(self.lot("UnParkedCall", gone))
        assert [moment.leg for moment in line.moments] == ["1.1", "1.1"]


class TestRooms:
    """A conference."""

    def test_in_and_out(self) -> None:
        """The leg bears the room's name for as long."""
        line, near, _ = talking()
        line.hear(message("ConfbridgeJoin", near.block(), Conference="7100"))
        assert line.legs["1.1"].conference == "7100"
        facts = line.hear(message("ConfbridgeLeave", near.block(), Conference="7100"))
        assert [type(fact) for fact in facts] == [LegChanged]
        assert line.legs["1.1"].conference == ""
        assert (
            line.hear(message("ConfbridgeJoin", Channel("PJSIP/9-9", "9.9").block(), Conference="7100")) == []
        )

from typing import Any

import pytest
from msgspec.structs import replace

from ctid.calls import plan
from ctid.calls.policy import CallPolicy
from ctid.calls.words import QueueTarget
from ctid.model.commands import FlagCall, StopRecording
from ctid.model.entities import Agent, Call, Device, Party
from ctid.model.errors import CtidError
from ctid.model.ids import AgentId, CallId, DeviceId, LegId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import AgentState, CallFlag, CallState, DeviceState, PartyState, Recording, Role
from ctid.state.store import Store
from helpers.floor import BASE, Floor

PBX = PbxId("lab")
POLICY = CallPolicy(prefixes=("01",), queue_numbers={QueueId("sales"): "7001"})


def party(leg: str, role: Role, state: PartyState = PartyState.CONNECTED, **more: Any) -> Party:
    """A party."""
    return Party(leg=LegId(leg), role=role, state=state, since=BASE, **more)


CUSTOMER = party("c1", Role.CUSTOMER)
AGENT = party("a1", Role.AGENT, agent=AgentId("1001"))


def call(*parties: Party, **more: Any) -> Call:
    """A call of these parties, by default of a customer and an agent who talk."""
    given: dict[str, Any] = {"state": CallState.CONNECTED} | more
    return Call(
        id=CallId("lab.c1"),
        pbx=PBX,
        since=BASE,
        started_at=BASE,
        parties=parties or (CUSTOMER, AGENT),
        **given,
    )


WAITING = call(party("c1", Role.CUSTOMER, PartyState.QUEUED), state=CallState.QUEUED, queue=QueueId("sales"))


def store() -> Store:
    """Agent 1001 is in `support`, and a caller waits in `sales`."""
    floor = Floor(Store())
    floor.link_up()
    floor.agent_joins("1001", "support")
    floor.customer_joins("c1", "sales")
    return floor.store


def code(refused: pytest.ExceptionInfo[CtidError]) -> tuple[str, str | None]:
    """Code and field of a refusal."""
    return refused.value.code, refused.value.field


class TestNumbers:
    """What may be dialled."""

    @pytest.mark.parametrize("number", ["1001", "0123456789", "7001"])
    def test_allowed(self, number: str) -> None:
        """An agent, what begins as the configuration allows, a queue's number."""
        assert plan.check_number(number, POLICY, store(), field="to") == number

    @pytest.mark.parametrize(
        "number",
        [
            "",
            "a",
            "01 2",
            "01\r\n",
            "01&02",
            "01/02",
            "01@x",
            "01,1",
            "01|1",
            "${X}",
            "01(",
            "0" * 33,
            "01\u0661",
        ],
    )
    def test_no_number(self, number: str) -> None:
        """Nothing that a dialplan or a protocol would take apart."""
        with pytest.raises(CtidError) as refused:
            plan.check_number(number, POLICY, store(), field="to")
        assert code(refused) == ("request.invalid", "to")

    @pytest.mark.parametrize("policy", [POLICY, CallPolicy()])
    def test_not_allowed(self, policy: CallPolicy) -> None:
        """What begins otherwise, and without prefixes everything else."""
        with pytest.raises(CtidError, match=r"numbers that begin with: (01|none) ") as refused:
            plan.check_number("0033123", policy, store(), field="to")
        assert (refused.value.code, refused.value.status) == ("call.number_not_allowed", 403)

    def test_destination(self) -> None:
        """A number as it is; a queue by the number that enters it, which may be its name."""
        assert plan.destination("1001", POLICY, store()) == "1001"
        assert plan.destination(QueueTarget(queue="sales"), POLICY, store()) == "7001"
        floor = Floor(Store())
        floor.customer_joins("c1", "600")
        assert plan.destination(QueueTarget(queue="600"), POLICY, floor.store) == "600"

    @pytest.mark.parametrize(
        ("queue", "told"), [("none", ("queue.unknown", None)), ("support", ("request.invalid", "to.queue"))]
    )
    def test_no_destination(self, queue: str, told: tuple[str, str | None]) -> None:
        """No such queue; or nobody knows how it is entered."""
        with pytest.raises(CtidError) as refused:
            plan.destination(QueueTarget(queue=queue), POLICY, store())
        assert code(refused) == told


class TestMoving:
    """Hang up, transfer, move up."""

    def test_hang_up(self) -> None:
        """The agent first, no supervisor; or one party alone."""
        three = call(CUSTOMER, AGENT, party("s1", Role.SUPERVISOR))
        assert plan.hang_up(three, None).legs == ("a1", "c1")
        assert plan.hang_up(three, "s1").legs == ("s1",)
        with pytest.raises(CtidError, match="parties are: c1, a1") as refused:
            plan.hang_up(call(), "x")
        assert code(refused) == ("request.invalid", "party")

    def test_transfer(self) -> None:
        """Of two who talk, the other is kept; of who waits, nobody is released."""
        command = plan.transfer(call(), "1002", "from-internal")
        assert (command.leg, command.agent, command.number) == ("c1", "a1", "1002")
        ringing = party("a2", Role.AGENT, PartyState.ALERTING)
        command = plan.transfer(replace(WAITING, parties=(*WAITING.parties, ringing)), "1002", "x")
        assert (command.leg, command.agent, command.context) == ("c1", None, "x")

    @pytest.mark.parametrize(
        "impossible",
        [
            call(CUSTOMER, AGENT, party("a2", Role.AGENT)),
            call(AGENT, party("s1", Role.SUPERVISOR)),
            call(CUSTOMER, party("a1", Role.AGENT, PartyState.ALERTING), state=CallState.ALERTING),
            replace(WAITING, parties=(*WAITING.parties, party("c2", Role.CUSTOMER, PartyState.QUEUED))),
        ],
    )
    def test_no_transfer(self, impossible: Call) -> None:
        """A call of three, one that a supervisor holds, one that rings, two who wait."""
        with pytest.raises(CtidError) as refused:
            plan.transfer(impossible, "1002", "x")
        assert code(refused)[0] == "call.not_possible"

    def test_is_moved(self) -> None:
        """The agent is gone; who waited waits no more, elsewhere, or anew."""
        command = plan.transfer(call(), "1002", "x")
        assert not plan.is_moved(call(), call(), command)
        assert plan.is_moved(call(), call(CUSTOMER), command)
        command = plan.transfer(WAITING, "1002", "x")
        assert not plan.is_moved(WAITING, WAITING, command)
        assert plan.is_moved(WAITING, call(CUSTOMER), command)
        assert plan.is_moved(WAITING, replace(WAITING, queue=QueueId("support")), command)
        anew = replace(WAITING.parties[0], since=Instant(BASE + 1))
        assert plan.is_moved(WAITING, replace(WAITING, parties=(anew,)), command)

    def test_prioritize(self) -> None:
        """Who waits; the place is that of the queue."""
        command = plan.prioritize(WAITING, 2)
        assert (command.leg, command.queue, command.position) == ("c1", "sales", 2)
        with pytest.raises(CtidError) as refused:
            plan.prioritize(call(), 1)
        assert code(refused)[0] == "call.not_waiting"
        with pytest.raises(CtidError):
            plan.prioritize(replace(WAITING, queue=None), 1)

    def test_place(self) -> None:
        """By the queue's own list."""
        assert plan.place_of(WAITING, store()) == 1
        assert plan.place_of(call(), store()) is None
        assert plan.place_of(replace(WAITING, id=CallId("lab.c9")), store()) is None
        assert plan.place_of(replace(WAITING, queue=QueueId("none")), store()) is None


class TestRecording:
    """What may be recorded, and into which file."""

    def test_at_the_agent(self) -> None:
        """Her leg, also on hold."""
        assert plan.recorded_party(call()).leg == "a1"
        held = replace(AGENT, state=PartyState.HELD)
        assert plan.recorded_party(call(CUSTOMER, held)).leg == "a1"

    @pytest.mark.parametrize(
        ("refused_call", "told"),
        [
            (call(private=True), "call.private"),
            (call(objected=True), "call.objected"),
            (WAITING, "call.no_agent"),
        ],
    )
    def test_not_recorded(self, refused_call: Call, told: str) -> None:
        """A protected call, and one without an agent."""
        with pytest.raises(CtidError) as refused:
            plan.recorded_party(refused_call)
        assert code(refused)[0] == told

    def test_is_recorded(self) -> None:
        """What is not recorded can be neither paused nor resumed."""
        plan.check_recorded(call(recording=Recording.PAUSED))
        with pytest.raises(CtidError) as refused:
            plan.check_recorded(call())
        assert code(refused)[0] == "call.not_recorded"

    @pytest.mark.parametrize("basis", ["", "  ", "a\nb", "x" * 201])
    def test_basis(self, basis: str) -> None:
        """It is said, on one line."""
        plan.check_basis("training, with consent")
        with pytest.raises(CtidError) as refused:
            plan.check_basis(basis)
        assert code(refused) == ("request.invalid", "basis")

    def test_file(self) -> None:
        """Call and time, in safe characters; the directory of the configuration before it."""
        at = Instant(BASE + 0.25)
        odd = replace(call(), id=CallId("lab.a/../b c;1"))
        assert plan.file_name(odd, at, CallPolicy()) == "lab.a_.._b_c_1-20260101T000000250000Z.wav"
        there = CallPolicy(directory="/rec/", format="gsm")
        assert plan.file_name(call(), at, there) == "/rec/lab.c1-20260101T000000250000Z.gsm"


class TestReaching:
    """Who can be called, and which text can be sent."""

    AGENT = Agent(id=AgentId("1001"), pbx=PBX, name="Anna", state=AgentState.READY, since=BASE)
    PHONE = Device(id=DeviceId("1001"), pbx=PBX, state=DeviceState.IDLE, since=BASE)

    @pytest.mark.parametrize("state", [AgentState.READY, AgentState.NOT_READY, AgentState.WORKING_AFTER_CALL])
    def test_free(self, state: AgentState) -> None:
        """Whoever is in no call; a pause does not forbid it."""
        plan.check_free(replace(self.AGENT, state=state), self.PHONE)
        plan.check_free(self.AGENT, None)

    @pytest.mark.parametrize(
        ("agent", "phone", "told"),
        [
            ({"state": AgentState.BUSY}, {}, "agent.not_free"),
            ({"state": AgentState.LOGGED_OUT}, {}, "agent.not_free"),
            ({"call": CallId("lab.c1")}, {}, "agent.not_free"),
            ({}, {"state": DeviceState.IN_USE}, "agent.not_free"),
            ({}, {"state": DeviceState.UNAVAILABLE}, "agent.phone_unreachable"),
        ],
    )
    def test_not_free(self, agent: dict[str, Any], phone: dict[str, Any], told: str) -> None:
        """In a call, logged out, or with a phone that is not idle."""
        with pytest.raises(CtidError) as refused:
            plan.check_free(replace(self.AGENT, **agent), replace(self.PHONE, **phone))
        assert code(refused)[0] == told

    @pytest.mark.parametrize("text", ["", " ", "a\nb", "a\0", "x" * 501, "\N{EURO SIGN}" * 251])
    def test_text(self, text: str) -> None:
        """One line, printable, and not too long for a line of the PBX's protocol."""
        plan.check_text("Ligne 2, s'il vous plaît")
        with pytest.raises(CtidError) as refused:
            plan.check_text(text)
        assert code(refused) == ("request.invalid", "text")


class TestProtection:
    """What a flag asks for."""

    def test_of_no_flag(self) -> None:
        """Nothing, whatever is recorded."""
        assert plan.protection(call(recording=Recording.ON), plan.NOTHING_KEPT) == []
        assert plan.kept(call()) == plan.NOTHING_KEPT

    def test_of_flags(self) -> None:
        """No recording, and each flag with each leg; what is so already is not asked for."""
        flagged = call(private=True, objected=True, recording=Recording.PAUSED)
        legs = (LegId("c1"), LegId("a1"))
        flags = [FlagCall(legs=legs, flag=flag) for flag in (CallFlag.PRIVATE, CallFlag.OBJECTED)]
        assert plan.protection(flagged, plan.NOTHING_KEPT) == [StopRecording(legs=legs), *flags]
        quiet = replace(flagged, recording=Recording.OFF)
        assert plan.protection(quiet, plan.kept(quiet)) == []
        more = replace(quiet, objected=False, parties=(*quiet.parties, party("a2", Role.AGENT)))
        assert plan.protection(more, plan.kept(quiet)) == [
            FlagCall(legs=(*legs, LegId("a2")), flag=CallFlag.PRIVATE)
        ]

    def test_whose_call(self) -> None:
        """An agent's are those that she is a party of."""
        assert plan.is_of(call(), AgentId("1001"))
        assert not plan.is_of(call(), AgentId("1002"))
        assert not plan.is_of(call(), None)

import pytest

from ctid.masking import masked, masked_number
from ctid.model.entities import Agent, Call, Party
from ctid.model.ids import AgentId, CallId, DeviceId, LegId, PbxId
from ctid.model.instant import Instant
from ctid.model.words import AgentState, CallState, Direction, PartyState, Role

NOW = Instant(1_780_000_000)


def party(role: Role, number: str, device: str | None = None) -> Party:
    """A connected party with a name."""
    return Party(
        leg=LegId(f"leg {role}"),
        role=role,
        state=PartyState.CONNECTED,
        since=NOW,
        number=number,
        name="Ada",
        device=DeviceId(device) if device else None,
    )


def call(*parties: Party, direction: Direction = Direction.INBOUND, dialled: str = "7000") -> Call:
    """A connected call."""
    return Call(
        id=CallId("lab.1"),
        pbx=PbxId("lab"),
        state=CallState.CONNECTED,
        since=NOW,
        started_at=NOW,
        direction=direction,
        dialled=dialled,
        parties=parties,
    )


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("0612345678", "********78"),
        ("+33612345678", "**********78"),
        ("3001", "**01"),
        ("112", "*12"),
        ("12", "**"),
        ("7", "*"),
        ("", ""),
        ("anonymous", "*********"),
        ("bob@example.com", "***************"),
        ("06123456\u0667\u0668", "**********"),
    ],
)
def test_numbers(number: str, shown: str) -> None:
    """A number keeps its length and its last two digits, unless these would be all there is."""
    assert masked_number(number) == shown


def test_roles() -> None:
    """Customers and others are hidden, agents and supervisors are not."""
    before = call(*(party(role, "0612345678") for role in Role))
    after = masked(before)
    assert isinstance(after, Call)
    hidden = {shown.role for shown in after.parties if (shown.number, shown.name) == ("********78", "")}
    whole = {shown.role for shown in after.parties if (shown.number, shown.name) == ("0612345678", "Ada")}
    assert (hidden, whole) == ({Role.CUSTOMER, Role.OTHER}, {Role.AGENT, Role.SUPERVISOR})


def test_twice_is_once() -> None:
    """Masking what is masked changes nothing."""
    before = call(party(Role.CUSTOMER, "3001", "PJSIP_3001"), direction=Direction.OUTBOUND, dialled="3001")
    assert masked(masked(before)) == masked(before)


@pytest.mark.parametrize(
    ("direction", "dialled", "shown"),
    [
        (Direction.INBOUND, "7000", "7000"),
        (Direction.OUTBOUND, "00612345678", "*********78"),
        (Direction.INBOUND, "0612345678", "********78"),
        (Direction.INTERNAL, "1002", "1002"),
    ],
)
def test_dialled(direction: Direction, dialled: str, shown: str) -> None:
    """The number dialled is hidden when it is a person's: outbound, or a hidden party's own."""
    after = masked(call(party(Role.CUSTOMER, "0612345678"), direction=direction, dialled=dialled))
    assert isinstance(after, Call)
    assert after.dialled == shown


@pytest.mark.parametrize(
    ("number", "device", "shown"),
    [("3001", "PJSIP_3001", None), ("0612345678", "PJSIP_trunk", "PJSIP_trunk"), ("", "PJSIP_x", "PJSIP_x")],
)
def test_a_device_that_names_the_number(number: str, device: str, shown: str | None) -> None:
    """A hidden party's device goes when its id holds the number; a trunk stays."""
    after = masked(call(party(Role.CUSTOMER, number, device)))
    assert isinstance(after, Call)
    assert after.parties[0].device == shown


def test_other_entities_pass() -> None:
    """What is no call is returned as it is."""
    agent = Agent(id=AgentId("1001"), pbx=PbxId("lab"), name="Zoe", state=AgentState.READY, since=NOW)
    assert masked(agent) is agent

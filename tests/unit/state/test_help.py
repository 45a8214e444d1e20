from msgspec.structs import replace

from ctid.model.entities import Help
from ctid.model.facts import HelpAsked, HelpChanged, SheetWritten
from ctid.model.ids import AgentId, CallId, DeviceId, HelpId, LegId, PbxId, SheetId
from ctid.model.words import Carrier, HelpEnd, HelpState
from ctid.state.changes import Change, Occurrence
from ctid.state.store import Store
from helpers.floor import BASE, PROFILES, Floor

HAND = Help(
    id=HelpId("h1"),
    pbx=PbxId("lab"),
    agent=AgentId("1001"),
    state=HelpState.OPEN,
    since=BASE,
    raised_at=BASE,
    by=Carrier.API,
    expires_at=BASE,
)
DOWN = replace(HAND, state=HelpState.ENDED, end=HelpEnd.WITHDRAWN, ended_at=BASE)


def changed(hand: Help) -> HelpChanged:
    """The fact that a hand is so."""
    return HelpChanged(pbx=hand.pbx, at=BASE, help=hand)


def test_a_hand_from_up_to_down() -> None:
    """Its end is a last document, and then it is gone; told again nothing happens, and no PBX confirms it."""
    floor = Floor(Store(PROFILES))
    floor.tell(changed(HAND), changed(HAND))
    assert floor.store.helps == {HAND.id: HAND}
    assert HAND in list(floor.store.entities())
    floor.link_up()
    floor.link_down()
    assert floor.store.helps == {HAND.id: HAND}
    floor.tell(changed(DOWN), changed(DOWN))
    told = [update for update in floor.told if isinstance(update, Change) and update.kind == "help"]
    assert [(update.old, update.new) for update in told] == [(None, HAND), (HAND, DOWN), (DOWN, None)]


def test_who_asked() -> None:
    """The agent whose phone it is, or who has its name; nobody where there is none."""
    floor = Floor(Store(PROFILES))
    floor.agent_joins("1001", "support")
    floor.agent_joins("1002", "support", device=DeviceId("desk-7"))
    found = []
    for device in ("1001", "desk-7", "1002", "3001", None):
        phone = DeviceId(device) if device else None
        (told,) = floor.tell(HelpAsked(pbx=floor.pbx, at=BASE, leg=LegId("9.1"), device=phone))
        assert isinstance(told, Occurrence)
        assert (told.name, told.leg, told.call) == ("help_asked", "9.1", "lab.9.1")
        found.append(told.agent)
    assert found == ["1001", "1002", "1002", None, None]


def test_a_sheet_is_told_by_its_ids() -> None:
    """Who and which, and nothing of what it says."""
    floor = Floor(Store(PROFILES))
    fact = SheetWritten(
        pbx=floor.pbx, at=BASE, sheet=SheetId("c1"), agent=AgentId("1001"), call=CallId("lab.1")
    )
    (told,) = floor.tell(fact)
    assert told == Occurrence(
        seq=told.seq,
        at=BASE,
        name="sheet_written",
        pbx=floor.pbx,
        call=CallId("lab.1"),
        agent=AgentId("1001"),
        to="c1",
    )

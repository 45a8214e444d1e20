"""Listening that ctid did not start, as the state tells it."""

from ctid.model.facts import MonitoringSeen
from ctid.model.ids import LegId
from ctid.state.changes import Occurrence
from helpers.floor import Floor


def _seen(floor: Floor, leg: str) -> Occurrence:
    fact = MonitoringSeen(pbx=floor.pbx, at=floor.now, leg=LegId(leg), by="2003", how="spy")
    (told,) = floor.tell(fact)
    assert isinstance(told, Occurrence)
    return told


def test_whose_call_it_is(floor: Floor) -> None:
    """The agent at the leg, or the agent whose customer is there; of a leg that is not known, nobody."""
    floor.link_up()
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.customer_joins("c2", "support")
    told = [_seen(floor, leg) for leg in ("a1", "c1", "c2", "gone")]
    assert [(seen.call, seen.agent) for seen in told] == [
        ("lab.c1", "1001"),
        ("lab.c1", "1001"),
        ("lab.c2", None),
        ("lab.gone", None),
    ]
    assert (told[0].name, told[0].by, told[0].to) == ("monitoring_seen", "2003", "spy")

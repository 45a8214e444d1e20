import re

import pytest

from ctid_asterisk.actions import Action
from ctid_asterisk.filters import exclude, knows_advanced
from ctid_asterisk.wire import ArgumentError


def excluded_by(action: Action, event: str) -> bool:
    """What Asterisk does with a legacy exclude filter: a POSIX search over the event's whole text."""
    expression = dict(action.fields)["Filter"]
    assert expression.startswith("!")
    pattern = expression[1:].replace("[[:cntrl:]]", "[\x00-\x1f\x7f]")
    return re.search(pattern, event.replace("|", "\r\n") + "\r\n\r\n", re.DOTALL) is not None


@pytest.mark.parametrize(
    ("version", "advanced"),
    [
        ("22.10.1~dfsg+~cs6.15.60671435-1", True),
        ("22.1.0", True),
        ("22.0.9", False),
        ("21.6.0", True),
        ("20.11.1", True),
        ("20.10.0", False),
        ("19.8.1", False),
        ("18.26.4", True),
        ("18.25.0", False),
        ("16.28.0~dfsg-0+deb11u4", False),
        ("23.0.0", True),
        ("24.1.0", True),
        ("certified/20.7-cert5", False),
        ("certified-22.8-cert1", True),
        ("GIT-master-69535d4", False),
        ("", False),
    ],
)
def test_which_version_knows_advanced_filters(version: str, advanced: bool) -> None:  # noqa: FBT001 -- a parameter
    """Advanced filters are used from the release of each branch that has them, and never on a guess."""
    assert knows_advanced(version) is advanced


def test_advanced_filters() -> None:
    """Each name becomes one exclude by name; of VarSet, ctid's own and QUEUESTATUS are kept."""
    newexten, varset = exclude(frozenset({"VarSet", "Newexten"}), advanced=True)
    assert newexten.fields == (("Operation", "Add"), ("MatchCriteria", "action(exclude),name(Newexten)"))
    fields = dict(varset.fields)
    assert fields["MatchCriteria"] == "action(exclude),name(VarSet),header(Variable),method(regex)"
    kept = {"CTIDFENCE": False, "CTID_SESSION": False, "QUEUESTATUS": False}
    gone = {
        "CHANNEL": True,
        "X": True,
        "QUEUEPOSITION": True,
        "QUEUENAME": True,
        "QUX": True,
        "RTPAUDIOQOS": True,
    }
    for variable, dropped in (kept | gone).items():
        assert (re.search(fields["Filter"], variable) is not None) is dropped


def test_legacy_filters() -> None:
    """A legacy filter drops the whole name only, and of VarSet keeps ctid's own and QUEUESTATUS."""
    hangup, varset = exclude(frozenset({"VarSet", "Hangup"}), advanced=False)
    assert all(key != "MatchCriteria" for key, _ in (*hangup.fields, *varset.fields))
    assert excluded_by(hangup, "Event: Hangup|Privilege: call,all")
    assert not excluded_by(hangup, "Event: HangupRequest|Privilege: call,all")
    assert not excluded_by(hangup, "Event: UserEvent|Note: Event: Hangup")
    assert excluded_by(varset, "Event: VarSet|Channel: x|Variable: RTPAUDIOQOS|Value: v")
    assert not excluded_by(
        varset, "Event: VarSet|Channel: none|ChanVariable: X=1|Variable: CTIDFENCE|Value: 1"
    )
    assert not excluded_by(varset, "Event: VarSet|Channel: x|Variable: QUEUESTATUS|Value: TIMEOUT")
    assert excluded_by(varset, "Event: VarSet|Channel: x|Variable: QUEUEPOSITION|Value: 1")
    assert not excluded_by(varset, "Event: Newstate|ChanVariable: X=1")


def test_keys_of_others_do_not_come() -> None:
    """Of pressed keys only those on ctid's own channels are let through, by either kind of filter."""
    (advanced,) = exclude(frozenset({"DTMFEnd"}), advanced=True)
    fields = dict(advanced.fields)
    assert fields["MatchCriteria"] == "action(exclude),name(DTMFEnd),header(Uniqueid),method(regex)"
    ours, theirs = "ctid-ctid.s1-phone-1795000000.1", "1795000000.1"
    assert re.search(fields["Filter"], ours) is None
    assert re.search(fields["Filter"], theirs) is not None
    (legacy,) = exclude(frozenset({"DTMFEnd"}), advanced=False)
    assert not excluded_by(legacy, f"Event: DTMFEnd|Uniqueid: {ours}|Digit: 5")
    assert excluded_by(legacy, f"Event: DTMFEnd|Uniqueid: {theirs}|Digit: 5")


@pytest.mark.parametrize("name", ["", "a)", "Hang up", "Hangup\n", ".*"])
def test_only_names(name: str) -> None:
    """What is not the name of an event never reaches an expression."""
    with pytest.raises(ArgumentError):
        exclude(frozenset({name}), advanced=True)


def test_nothing_to_exclude() -> None:
    """No names, no filters."""
    assert exclude(frozenset(), advanced=True) == []

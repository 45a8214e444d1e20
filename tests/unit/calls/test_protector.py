"""Protected calls stay protected, whoever flagged or records them."""

import asyncio

import pytest

from ctid.calls import protector
from ctid.model.commands import FlagCall, StopRecording
from ctid.model.errors import PbxTimeout
from ctid.model.facts import LinkDown, LinkUp
from ctid.model.words import Recording
from helpers.acts_desk import LAB, ActsDesk
from helpers.floor import BASE
from helpers.patience import until


async def test_a_flag_from_the_phone(desk: ActsDesk) -> None:
    """What is recorded stops, and the other leg gets the flag as well."""
    await desk.leg("a1", recording=Recording.ON)
    await desk.leg("c1", private=True)
    await until(lambda: desk.call().recording is Recording.OFF)
    await until(lambda: all(leg.private for leg in desk.hub.store.rows[LAB].call_legs["c1"].values()))
    assert desk.pbx.asked(FlagCall) == 1


async def test_a_recording_by_the_dialplan(desk: ActsDesk) -> None:
    """It is stopped as soon as it is told; that of another call goes on."""
    await desk.leg("c1", objected=True)
    await desk.leg("a1", recording=Recording.ON)
    await until(lambda: desk.call().recording is Recording.OFF)
    await desk.leg("c2", recording=Recording.ON)
    assert desk.call("c2").recording is Recording.ON


async def test_a_new_party(desk: ActsDesk) -> None:
    """The next agent's leg gets the flag."""
    await desk.leg("c1", private=True)
    await until(lambda: desk.pbx.asked(FlagCall) == 1)
    desk.script.rings("a2", "c1", "1002")
    await desk.hand_over()
    await until(lambda: all(leg.private for leg in desk.hub.store.rows[LAB].call_legs["c1"].values()))
    assert desk.pbx.asked(FlagCall) == 2


async def test_it_is_tried_again(desk: ActsDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that fails is given again, until the call is over or the link is lost."""
    monkeypatch.setattr(protector, "RETRY_S", 0.01)
    desk.pbx.fails = {StopRecording: PbxTimeout("no answer")}
    await desk.leg("a1", recording=Recording.ON)
    await desk.leg("c1", private=True)
    await until(lambda: desk.pbx.asked(StopRecording) >= 3)
    await desk.feed(LinkDown(pbx=LAB, at=BASE, driver="asterisk", reason="cut"))
    asked = -1

    def is_quiet() -> bool:
        nonlocal asked
        before, asked = asked, desk.pbx.asked(StopRecording)
        return before == asked

    await until(is_quiet)
    desk.pbx.fails = {}
    await desk.feed(LinkUp(pbx=LAB, at=BASE, driver="asterisk", version="22"))
    await desk.leg("c1", name="again")
    await until(lambda: desk.call().recording is Recording.OFF)


async def test_a_call_that_is_over(desk: ActsDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of it."""
    monkeypatch.setattr(protector, "RETRY_S", 0.01)
    desk.pbx.fails = {FlagCall: PbxTimeout("no answer")}
    await desk.leg("c1", private=True)
    await until(lambda: desk.pbx.asked(FlagCall) >= 2)
    desk.script.hangs_up("a1", "c1")
    await desk.hand_over()
    await until(lambda: "protection of lab.c1" not in {task.get_name() for task in asyncio.all_tasks()})

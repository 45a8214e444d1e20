"""The keys of her phone switch the mode where policy, role and gate allow it; each is on record."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from ctid.model.commands import SwitchSupervision
from ctid.model.entities import Supervision
from ctid.model.errors import Forbidden
from ctid.model.facts import KeyPressed, SupervisionChanged
from ctid.model.users import User, UserRole
from ctid.model.words import Mode, SupervisionEnd, SupervisionState
from ctid.supervision.planning import Policy
from helpers.desk import LAB, ROOT, SOFIA, Desk, audited, listen
from helpers.floor import BASE
from helpers.patience import until

KEYS = Policy(phone_keys=True)


async def _press(desk: Desk, session: Supervision, *keys: str) -> None:
    """Press keys, and wait until they are on record."""
    before = desk.journal.count("audit key")
    await desk.feed(*(KeyPressed(pbx=LAB, at=BASE, supervision=session.id, key=key) for key in keys))
    await until(lambda: desk.journal.count("audit key") == before + len(keys))


def _pressed(desk: Desk) -> list[str]:
    return [entry.detail for entry, _ in audited(desk) if entry.event == "key"]


@pytest.mark.parametrize(
    ("policy", "user", "allowed"),
    [
        (KEYS, SOFIA, True),
        (Policy(phone_keys=True, phone_keys_roles=frozenset({UserRole.ADMIN})), SOFIA, False),
        (Policy(phone_keys=True, phone_keys_roles=frozenset({UserRole.ADMIN})), ROOT, True),
        (Policy(phone_keys=False), ROOT, False),
    ],
)
async def test_keys_switch_only_where_policy_and_role_allow_it(
    tmp_path: Path, policy: Policy, user: User, *, allowed: bool
) -> None:
    """The switch in the configuration, and the role, are both needed; the attempt is on record."""
    async with Desk(tmp_path, policy) as desk:
        session = await desk.service.start(user, listen())
        await _press(desk, session, "5")
        assert _pressed(desk) == ["5"]
        if allowed:
            await until(lambda: desk.sessions[session.id].mode is Mode.WHISPER)
        await desk.passes(1.0)
        assert desk.sessions[session.id].mode is (Mode.WHISPER if allowed else Mode.LISTEN)
        assert len(desk.pbx.sent(SwitchSupervision)) == allowed


async def test_the_keys(tmp_path: Path) -> None:
    """4 listens, 5 whispers, 6 barges, in the order in which they were pressed."""
    async with Desk(tmp_path, KEYS) as desk:
        session = await desk.service.start(SOFIA, listen())
        await _press(desk, session, "6", "5", "4")
        await until(lambda: len(desk.pbx.sent(SwitchSupervision)) == 3)
        modes = [command.mode for command in desk.pbx.sent(SwitchSupervision)]
        assert modes == [Mode.BARGE, Mode.WHISPER, Mode.LISTEN]


async def test_other_keys_do_nothing(tmp_path: Path) -> None:
    """They are on record."""
    async with Desk(tmp_path, KEYS) as desk:
        session = await desk.service.start(SOFIA, listen())
        await _press(desk, session, "*", "1", "#")
        assert _pressed(desk) == ["*", "1", "#"]
        assert len(desk.pbx.commands) == 1


async def test_who_may_only_listen_is_heard_by_no_key(tmp_path: Path) -> None:
    """The gate refuses, and both are on record: the key, and the refusal."""
    async with Desk(tmp_path, KEYS) as desk:
        session = await desk.service.start(SOFIA, listen())
        desk.gate.refuses = lambda plan: Forbidden("no right") if plan.mode is not Mode.LISTEN else None
        await _press(desk, session, "4", "5", "6", "*")
        await until(lambda: desk.journal.count("audit refused") == 2)
        assert _pressed(desk) == ["4", "5", "6", "*"]
        assert desk.pbx.sent(SwitchSupervision) == []


async def test_who_is_no_user_any_more_has_no_keys(tmp_path: Path) -> None:
    """Her token has expired."""
    async with Desk(tmp_path, KEYS) as desk:
        session = await desk.service.start(SOFIA, listen())
        del desk.users["sofia"]
        await _press(desk, session, "6")
        assert desk.pbx.sent(SwitchSupervision) == []


async def test_a_key_of_a_session_that_has_ended_is_nobodys(tmp_path: Path) -> None:
    """It was told before the end, and read after it."""
    async with Desk(tmp_path, KEYS) as desk:
        session = await desk.service.start(SOFIA, listen())
        key = KeyPressed(pbx=LAB, at=BASE, supervision=session.id, key="6")
        last = replace(session, state=SupervisionState.ENDED, end=SupervisionEnd.RELEASED, ended_at=BASE)
        await desk.feed(key, SupervisionChanged(pbx=LAB, at=BASE, supervision=last))
        await until(lambda: "audit ended" in desk.journal)
        assert _pressed(desk) == []
        assert desk.sessions == {}

import pytest
from msgspec.structs import replace

from ctid.model.commands import SendMessage
from ctid.model.entities import Supervision
from ctid.model.ids import AgentId, PbxId, SupervisionId
from ctid.model.words import Mode, NoticeKind, Purpose, SupervisionState
from ctid.supervision.notices import Notices
from helpers.desk import Desk
from helpers.floor import BASE

SESSION = Supervision(
    id=SupervisionId("s1"),
    pbx=PbxId("lab"),
    state=SupervisionState.ACTIVE,
    mode=Mode.LISTEN,
    since=BASE,
    started_at=BASE,
    supervisor="sofia",
    phone="desk",
    agent=AgentId("1001"),
    call=None,
    purpose=Purpose.QUALITY,
)


def _notices(desk: Desk, *, on_the_bus: bool = True) -> Notices:
    return Notices(desk.hub, lambda: on_the_bus, "You are listened to.", "ctid")


@pytest.mark.parametrize("on_the_bus", [True, False])
async def test_a_lamp_is_lit_if_the_bus_is_there(desk: Desk, *, on_the_bus: bool) -> None:
    """What the state says of her reaches the broker, or does not."""
    notices = _notices(desk, on_the_bus=on_the_bus)
    assert await notices.notify(replace(SESSION, notice=NoticeKind.MQTT)) is on_the_bus


@pytest.mark.parametrize("kind", [NoticeKind.NONE, NoticeKind.TONE])
async def test_what_goes_another_way_is_not_told_here(desk: Desk, kind: NoticeKind) -> None:
    """It would be a lie in the audit."""
    assert not await _notices(desk).notify(replace(SESSION, notice=kind))


async def test_a_message_to_her_phone(desk: Desk) -> None:
    """From ctid, with the text of the configuration; an agent without a phone is not told."""
    session = replace(SESSION, pbx=desk.hub.store.agents[AgentId("1001")].pbx, notice=NoticeKind.MESSAGE)
    assert await _notices(desk).notify(session)
    assert [(sent.text, sent.sender) for sent in desk.pbx.sent(SendMessage)] == [
        ("You are listened to.", "ctid")
    ]
    assert not await _notices(desk).notify(replace(session, agent=AgentId("9")))

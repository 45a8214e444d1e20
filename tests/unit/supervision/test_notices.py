import pytest
from msgspec.structs import replace

from ctid.model.entities import Supervision
from ctid.model.ids import AgentId, PbxId, SupervisionId
from ctid.model.words import Mode, NoticeKind, Purpose, SupervisionState
from ctid.supervision.notices import Notices
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


@pytest.mark.parametrize("on_the_bus", [True, False])
async def test_a_lamp_is_lit_if_the_bus_is_there(*, on_the_bus: bool) -> None:
    """What the state says of her reaches the broker, or does not."""
    notices = Notices(lambda: on_the_bus)
    assert await notices.notify(replace(SESSION, notice=NoticeKind.MQTT)) is on_the_bus


@pytest.mark.parametrize("kind", [NoticeKind.NONE, NoticeKind.TONE, NoticeKind.MESSAGE])
async def test_what_goes_another_way_is_not_told_here(kind: NoticeKind) -> None:
    """It would be a lie in the audit."""
    assert not await Notices(lambda: True).notify(replace(SESSION, notice=kind))

"""What the law and the rights mean in everybody's ears: the notice, and a supervisor who may only listen."""

import time
from collections.abc import AsyncIterator, Iterator

import pytest

from e2e import bus
from e2e.conftest import leave_quiet
from e2e.floor import Floor, floor_of
from helpers.api_client import Api
from helpers.patience import until
from lab import daemon, tones
from lab.phone_client import Phone
from lab.rig import Rig

pytestmark = pytest.mark.lab

SUP = "2001"
NOTICE_HZ = 1400
RULES = """
[law]
agent_minutes_per_week = 0
agent_sessions_per_day = 0
periods_required = false

[[grant]]
role = "supervisor"
teams = ["*"]
rights = ["listen", "numbers"]

[[grant]]
role = "admin"
teams = ["*"]
rights = ["audit"]

[[team]]
id = "north"
notice = "tone"

[[team]]
id = "staff"
"""


@pytest.fixture(scope="module")
def lawful_rig() -> Iterator[Rig]:
    """A rig whose supervisors may only listen, and whose agents are told of it by a tone; her keys are on."""
    with Rig.for_tests(
        services=(
            bus.watcher,
            daemon.maker(phone_keys=True, law=RULES),
        )
    ) as running:
        yield running


@pytest.fixture
async def lawful(lawful_rig: Rig) -> AsyncIterator[Floor]:
    """A floor on it."""
    async with floor_of(lawful_rig, leave_quiet) as opened:
        yield opened


async def _loudest(phone: Phone, since: float) -> float:
    """How loud the notice was for a phone at its loudest, in dBFS, since a time."""
    heard = await phone.heard(since)
    return float(tones.levels(heard.samples, [NOTICE_HZ])[:, 0].max())


async def _notice(floor: Floor, session: str) -> str:
    return str((await floor.api.get(f"/supervisions/{session}"))["notice_state"])


async def _audited(floor: Floor, session: str) -> list[tuple[str, str]]:
    """What the audit says of a session: events with their detail, oldest first."""
    async with Api(daemon.url_of(floor.rig), daemon.tokens_of(floor.rig)["admin"]) as admin:
        items = (await admin.get("/audit?limit=500"))["items"]
        return [(item["event"], item["detail"]) for item in items if item["supervision"] == session]


async def test_the_agent_hears_the_notice_and_the_customer_does_not(lawful: Floor) -> None:
    """And the audit has it as given."""
    customer, agent = await lawful.talk()
    supervisor, *_ = await lawful.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    began = time.monotonic()
    session = await lawful.begin(agent="1001")

    async def given() -> bool:
        return await _notice(lawful, session) == "given"

    await until(given, what="the notice is given")
    await until(lambda: _is_loud(agent, began), what="the agent hears it")
    assert await _loudest(customer, began) < tones.THRESHOLD
    assert (await lawful.api.get("/agents/1001"))["monitored"] is True
    assert ("notice", "given") in await _audited(lawful, session)
    await lawful.hear({agent: {"3001"}, customer: {"1001"}})
    await lawful.api.end(session)

    async def over() -> bool:
        return (await lawful.api.get("/agents/1001"))["monitored"] is False

    await until(over, what="she is not monitored any more")


async def _is_loud(phone: Phone, since: float) -> bool:
    return await _loudest(phone, since) >= tones.THRESHOLD


async def test_whoever_may_only_listen_is_heard_by_nobody(lawful: Floor) -> None:
    """Her keys 4, 5, 6 and * and her PATCH are refused and audited; nobody ever hears her."""
    customer, agent = await lawful.talk()
    supervisor, *_ = await lawful.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await lawful.begin(agent="1001")
    began = time.monotonic()
    for key in "456*":
        await supervisor.dtmf(key)
    for mode in ("whisper", "barge", "takeover"):
        answer = await lawful.api.switch(session, mode)
        assert (answer.status, answer.code) == (403, "auth.forbidden"), answer
    for muted in (True, False):
        answer = await lawful.api.call("PATCH", f"/supervisions/{session}", {"muted": muted})
        assert answer.status == 200, answer

    async def keys_told() -> bool:
        entries = await _audited(lawful, session)
        return ("key", "*") in entries and entries.count(("refused", "auth.forbidden")) >= 5

    await until(keys_told, what="keys and requests are in the audit")
    await lawful.hear({agent: {"3001"}, customer: {"1001"}, supervisor: {"1001", "3001"}})
    for phone in (agent, customer):
        line = await lawful.phones.timeline(phone, SUP, began)
        assert line.first_heard() is None, f"{phone} heard the supervisor"
    assert agent.digits == customer.digits == ""
    assert (await lawful.api.get(f"/supervisions/{session}"))["mode"] == "listen"


async def test_a_private_call_is_nobodys(lawful: Floor) -> None:
    """She is out of it at once, and nobody steps in again; agent and customer talk on."""
    customer, agent = await lawful.talk()
    supervisor, *_ = await lawful.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await lawful.begin(agent="1001")
    call = (await lawful.api.get("/agents/1001"))["call"]
    async with Api(daemon.url_of(lawful.rig), daemon.tokens_of(lawful.rig)["agent"]) as hers:
        answer = await hers.call("POST", f"/calls/{call}/private", {})
    assert answer.status == 200, answer
    await supervisor.wait_state("idle")

    async def ended() -> bool:
        return ("ended", "") in await _audited(lawful, session)

    await until(ended, what="the end is in the audit")
    refused = await lawful.api.supervise(agent="1001", purpose="emergency", note="he threatens her")
    assert (refused.status, refused.code) == (409, "call.private"), refused
    await lawful.hear({agent: {"3001"}, customer: {"1001"}})


async def test_a_notice_that_is_read() -> None:
    """Where her team's notice is a message, her phone shows it, and the audit has it as given."""
    rules = RULES.replace('notice = "tone"', 'notice = "message"')
    with Rig.for_tests(
        services=(
            bus.watcher,
            daemon.maker(law=rules),
        )
    ) as rig:
        async with floor_of(rig, leave_quiet) as floor:
            _, agent = await floor.talk()
            supervisor, *_ = await floor.phones.open(SUP)
            await supervisor.auto_answer(0.0)
            session = await floor.begin(agent="1001")
            await until(lambda: bool(agent.messages), what="the message is there")
            assert [shown.text for shown in agent.messages] == ["A supervisor listens to this call."]

            async def given() -> bool:
                return ("notice", "given") in await _audited(floor, session)

            await until(given, what="the notice is in the audit")

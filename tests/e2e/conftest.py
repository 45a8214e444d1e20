"""The rigs and phones of the end-to-end tests: one rig for the session, fresh phones for each test."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from e2e import bus
from e2e.floor import Floor, floor_of
from e2e.scenes import Scene, scene_of
from lab import daemon, roster
from lab.phones import Phones
from lab.rig import Rig


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the test that looks back on the session to its end."""
    items.sort(key=lambda item: item.name == bus.LOOKS_BACK)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Remember that not the whole of a suite runs."""
    here = Path(__file__).parent
    bus.SESSION.partial.update(item.path.stem for item in items if item.path.parent == here)


@pytest.fixture(autouse=True)
def documented(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every message on a broker that is watched is as it is documented."""
    yield
    bus.SESSION.ran.add(request.path.stem)
    faults = bus.SESSION.check()
    assert not faults, "\n".join(["messages are not as they are documented:", *faults[:10]])


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """A rig on free ports, with its media through Asterisk; one for the whole session."""
    with Rig.for_tests() as running:
        yield running


@pytest.fixture(scope="session")
def direct_rig() -> Iterator[Rig]:
    """A rig whose phones exchange their media directly; one for the whole session."""
    with Rig.for_tests(direct_media=True) as running:
        yield running


@pytest.fixture
async def phones(rig: Rig) -> AsyncIterator[Phones]:
    """Phones of `rig`: none is registered at first; afterwards all are gone, and no channel is left."""
    async with Phones(rig.ports.sip) as opened:
        yield opened
    leave_quiet(rig)


@pytest.fixture
async def direct_phones(direct_rig: Rig) -> AsyncIterator[Phones]:
    """As `phones`, of `direct_rig`."""
    async with Phones(direct_rig.ports.sip) as opened:
        yield opened
    leave_quiet(direct_rig)


def leave_quiet(running: Rig) -> None:
    """Assert that no channel is left, and make the queues as new: nobody paused, no wrap-up, no figures."""
    assert running.wait(lambda: not running.channels(), 5.0), f"channels are left: {running.channels()}"
    if "paused" in running.asterisk_cli("queue show"):
        for agent in roster.AGENTS:
            for queue in agent.queues:
                running.asterisk_cli(f"queue unpause member {roster.interface(agent)} queue {queue}")
    running.asterisk_cli("queue reset stats")


@pytest.fixture(scope="session")
def staffed_rig() -> Iterator[Rig]:
    """A rig with the daemon beside it; one for the whole session."""
    with Rig.for_tests(
        services=(
            bus.watcher,
            daemon.maker(ring_s=3.0),
        )
    ) as running:
        yield running


@pytest.fixture(scope="session")
def staffed_direct_rig() -> Iterator[Rig]:
    """The same, whose phones exchange their media directly."""
    with Rig.for_tests(
        direct_media=True,
        services=(
            bus.watcher,
            daemon.maker(ring_s=3.0),
        ),
    ) as running:
        yield running


@pytest.fixture(scope="session")
def noari_rig() -> Iterator[Rig]:
    """The same, whose Asterisk has no ARI."""
    with Rig.for_tests(
        ari=False,
        services=(
            bus.watcher,
            daemon.maker(ring_s=3.0),
        ),
    ) as running:
        yield running


BOTH_WAYS = ("ari", "chanspy")
"""How supervisors are carried: a module that has `floor` parametrised with these, indirectly, proves both."""


@pytest.fixture
async def floor(request: pytest.FixtureRequest) -> AsyncIterator[Floor]:
    """A floor on `staffed_rig`, or (`chanspy`) on `noari_rig`, empty before and after."""
    way = getattr(request, "param", "ari")
    rig = request.getfixturevalue("staffed_rig" if way == "ari" else "noari_rig")
    async with floor_of(rig, leave_quiet) as opened:
        yield opened


@pytest.fixture
async def direct_floor(staffed_direct_rig: Rig) -> AsyncIterator[Floor]:
    """A floor on `staffed_direct_rig`, empty before and after."""
    async with floor_of(staffed_direct_rig, leave_quiet) as opened:
        yield opened


@pytest.fixture(scope="session")
def scenario_rig() -> Iterator[Rig]:
    """A rig with the daemon beside it and the queues of the scenarios; one for the whole session."""
    with Rig.for_tests(
        scenarios=True,
        services=(
            bus.watcher,
            daemon.maker(ring_s=3.0),
        ),
    ) as running:
        yield running


@pytest.fixture
async def scene(scenario_rig: Rig, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """A scene on `scenario_rig`, which is quiet before and after."""
    name = re.sub(r"\W+|_", "-", request.node.name.removeprefix("test_")).rstrip("-")
    if not scenario_rig.is_alive("ctid"):
        scenario_rig.restart("ctid")  # the scene that ended it has failed, and is to fail alone
    async with floor_of(scenario_rig, leave_quiet) as opened, scene_of(opened, name) as begun:
        yield begun

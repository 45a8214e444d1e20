"""The examples for integrators, run as they are on a real floor."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from e2e.floor import Floor
from helpers.patience import until
from lab import daemon
from lab.config import CHECKOUT

pytestmark = pytest.mark.lab

EXAMPLES = CHECKOUT / "docs" / "integrate" / "examples"
HEARD_S = 15.0


class Example:
    """A program that runs, and the lines that it has printed."""

    def __init__(self, process: Process) -> None:
        self.lines: list[str] = []
        self._process = process

    async def reads(self, *lines: str) -> None:
        """Wait until each of these stands at the beginning of a line."""

        async def come() -> None:
            assert self._process.stdout is not None
            missing = set(lines)
            while missing:
                line = (await self._process.stdout.readline()).decode()
                assert line, f"the example ended without {missing}: {self.lines}"
                self.lines.append(line.rstrip())
                missing = {each for each in missing if not line.startswith(each)}

        async with asyncio.timeout(HEARD_S):
            await come()


@asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[Example]:
    """Run an example."""
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment}, stdout=PIPE)
    try:
        yield Example(process)
    finally:
        process.terminate()
        await process.communicate()


async def test_python(floor: Floor) -> None:
    """The wallboard prints who is there, and then what changes."""
    token = daemon.tokens_of(floor.rig)["supervisor"]
    program = str(EXAMPLES / "wallboard.py")
    async with running(sys.executable, program, CTID_URL=floor.api.url, CTID_TOKEN=token) as wallboard:
        queues = (await floor.api.get("/queues"))["items"]
        await wallboard.reads(*[f"{queue['name']}: 0 waiting" for queue in queues])
        (agent,) = await floor.phones.open("1001")
        await until(lambda: floor.agent_is("1001", "ready"))
        name = (await floor.api.get("/agents/1001"))["name"]
        await wallboard.reads(f"{name}: ready")
        assert (await floor.api.call("POST", "/agents/1001/pause", {"reason": "lunch"})).status == 200
        await wallboard.reads(f"{name}: not_ready lunch")
        assert agent is not None


def client_of_broker(floor: Floor, folder: Path) -> dict[str, str]:
    """The environment in which `mosquitto_sub` is the lab's, and the site and broker its own."""
    program = folder / "mosquitto_sub"
    program.write_text(f'#!/bin/sh\nexec {" ".join(floor.rig.root.command("mosquitto_sub"))} "$@"\n')
    program.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    return {"PATH": path, "CTID_SITE": "lab", "MQTT_PORT": str(floor.rig.ports.mqtt)}


async def test_mosquitto_sub(floor: Floor, tmp_path: Path) -> None:
    """The shell's lines are what stands, then the change and the event of what happens."""
    environment = client_of_broker(floor, tmp_path)
    async with running("sh", str(EXAMPLES / "floor.sh"), **environment) as shell:
        await shell.reads("ctid/lab/status ", "ctid/lab/queues/support ", "ctid/lab/agents/1001 ")
        before = len(shell.lines)
        assert (await floor.api.call("POST", "/agents/1001/pause", {"reason": "lunch"})).status == 200
        await shell.reads("ctid/lab/agents/1001 ", "ctid/lab/events/agent.state_changed ")
    told = dict(line.split(" ", 1) for line in shell.lines[before:])
    assert json.loads(told["ctid/lab/agents/1001"])["reason"] == "lunch"


async def test_home_assistant(floor: Floor, tmp_path: Path) -> None:
    """Each template of the sensors makes a state of the documents that are retained on a real broker."""
    environment = client_of_broker(floor, tmp_path)
    async with running("sh", str(EXAMPLES / "floor.sh"), **environment) as shell:
        await shell.reads("ctid/lab/status ", "ctid/lab/queues/support ", "ctid/lab/agents/1001 ")
    retained = {topic: json.loads(text) for topic, text in (line.split(" ", 1) for line in shell.lines)}
    agent = retained["ctid/lab/agents/1001"]
    text = (EXAMPLES / "home-assistant.yaml").read_text().replace("ctid/main/", "ctid/lab/")
    shown: dict[str, str] = {}
    for platform, sensors in yaml.safe_load(text)["mqtt"].items():
        assert platform in ("sensor", "binary_sensor")
        for sensor in sensors:
            assert {"name", "unique_id", "state_topic", "value_template", "availability"} <= sensor.keys()
            shown[sensor["unique_id"]] = rendered(sensor["value_template"], retained[sensor["state_topic"]])
            (online,) = sensor["availability"]
            assert rendered(online["value_template"], retained[online["topic"]]) == "online"
            if "json_attributes_template" in sensor:
                attributes = rendered(sensor["json_attributes_template"], agent)
                assert json.loads(attributes) == {"reason": agent["reason"], "since": agent["since"]}
    assert shown == {
        "ctid_main_support_waiting": "0",
        "ctid_main_1001": agent["state"],
        "ctid_main_1001_monitored": "OFF",
    }


def rendered(template: str, document: Any) -> str:
    """What Home Assistant makes of a document: a Jinja template, with the document as `value_json`."""
    strict = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701 - no HTML
    return strict.from_string(template).render(value_json=document)

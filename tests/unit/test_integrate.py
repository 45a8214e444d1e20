"""The examples for integrators, as far as they are proved without a lab; the rest is in tests/e2e."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ctid.api.operations import BASE, OPERATIONS
from ctid.client.structs import KINDS
from ctid.events.catalogue import EVENTS
from ctid.events.topics import Topics
from lab.config import CHECKOUT

DOCS = CHECKOUT / "docs" / "integrate"
EXAMPLES = DOCS / "examples"
TOPICS = Topics("ctid", "main")
FOLDERS = {pattern.removesuffix("/+") for pattern in TOPICS.entities}


@pytest.mark.parametrize("example", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_a_guide_shows_the_example_that_is_run(example: Path) -> None:
    """Each example stands in one guide, word for word."""
    text = example.read_text(encoding="utf-8")
    assert [guide.name for guide in DOCS.glob("*.md") if text in guide.read_text(encoding="utf-8")]


def assert_told(topic: str) -> None:
    """Assert that ctid has such a topic."""
    folder, _, last = topic.rpartition("/")
    if folder == f"{TOPICS.root}/events":
        assert last in {getattr(event, "name", event) for event in EVENTS}, topic
    else:
        assert topic == TOPICS.status or folder in FOLDERS, topic


def test_the_topics_of_the_flow() -> None:
    """Node-RED listens where ctid tells, and asks for an operation that there is."""
    flow: list[dict[str, Any]] = json.loads((EXAMPLES / "node-red.json").read_text())
    known = {node["id"] for node in flow}
    listened = [node["topic"] for node in flow if node["type"] == "mqtt in"]
    assert len(listened) == 2
    for topic in listened:
        assert_told(topic)
    for node in flow:
        assert {wire for output in node.get("wires", ()) for wire in output} <= known
    (asked,) = [node for node in flow if node["type"] == "http request"]
    path = asked["url"].partition(BASE)[2]
    paths = [(one.method, re.sub(r"\\{\w+\\}", "[^/]+", re.escape(one.path))) for one in OPERATIONS.values()]
    assert [one for method, one in paths if method == asked["method"] and re.fullmatch(one, path)]


def test_the_topics_of_the_shell() -> None:
    """mosquitto_sub listens where ctid tells."""
    topics = re.findall(r'-t "\$root/(\S+)"', (EXAMPLES / "floor.sh").read_text())
    assert sorted(topics) == ["agents/+", "events/+", "queues/+", "status"]
    assert {f"{TOPICS.root}/{topic}" for topic in topics} <= {
        TOPICS.status, f"{TOPICS.root}/events/+", *TOPICS.entities,
    }  # fmt: skip


def test_every_kind_has_a_topic_and_a_place_in_the_client() -> None:
    """What the client mirrors is what is retained."""
    assert len(FOLDERS) == len(KINDS)

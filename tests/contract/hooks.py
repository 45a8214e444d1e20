"""What schemathesis is told of ctid: loaded by it, through SCHEMATHESIS_HOOKS, in a process of its own."""

import itertools
import os
import time
from typing import Any
from uuid import uuid4

import requests
import schemathesis
from schemathesis import GenerationMode

KEY, BOOT = "Idempotency-Key", "Ctid-Boot-Id"
LISTS = ("agents", "calls", "devices", "help", "queues", "sheets", "supervisions")
"""Where there are ids, by the first segment of the paths that take one."""
FRESH_S = 0.5
"""For so long a list of ids is good."""

_turn = itertools.count()
_listed: dict[str, tuple[float, list[str]]] = {}


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Have every second good request be about what is there, and each with a key of its own.

    What a key does twice, others test.
    """
    if not is_positive(case):
        return
    if (case.headers or {}).get(KEY):
        case.headers[KEY] = uuid4().hex
    if (case.headers or {}).get(BOOT) and next(_turn) % 4:
        del case.headers[BOOT]  # nearly any is another run's, and nothing would be done
    kind = case.path.removeprefix("/api/v1/").partition("/")[0]
    if kind in LISTS and "id" in (case.path_parameters or {}) and next(_turn) % 2:
        known = listed(kind)
        if known:
            case.path_parameters["id"] = known[next(_turn) % len(known)]


def listed(kind: str) -> list[str]:
    """The ids of a list, as an admin sees it."""
    when, known = _listed.get(kind, (0.0, []))
    if time.monotonic() - when > FRESH_S:
        answer = requests.get(
            f"{os.environ['CTID_URL']}/api/v1/{kind}",
            headers={"Authorization": f"Bearer {os.environ['CTID_TOKEN_ADMIN']}"},
            timeout=5,
        )
        known = [item["id"] for item in answer.json().get("items", ())]
        _listed[kind] = (time.monotonic(), known)
    return known


def is_positive(case: Any) -> bool:
    """Whether the request is as the document says."""
    return case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE


@schemathesis.check
def what_the_document_allows_is_accepted(_context: Any, response: Any, case: Any) -> None:
    """A request that is as the document says is no `request.invalid`, but for fields that it names so.

    Those are the operation's `x-judged`: the state, the configuration or another field decides of them.
    """
    if not is_positive(case) or response.status_code not in (400, 415, 422):
        return
    problem = response.json()
    judged = case.operation.definition.raw.get("x-judged", {})
    assert problem.get("field") in judged, f"{problem['code']}: {problem['detail']}"


@schemathesis.check
def every_refusal_is_a_problem_that_was_promised(_context: Any, response: Any, case: Any) -> None:
    """A refusal is a problem document with a code that the operation lists for its status."""
    if response.status_code < 400 or case.method == "HEAD":
        return
    problem = response.json()
    assert problem["status"] == response.status_code, "its status is another"
    assert response.headers["content-type"] == ["application/problem+json"], "it is no problem document"
    assert response.status_code != 500, "ctid failed"
    if response.status_code == 405:
        return
    promised = case.operation.definition.raw["responses"][str(response.status_code)]["x-codes"]
    assert problem["code"] in promised, f"{problem['code']} is not among {promised}"

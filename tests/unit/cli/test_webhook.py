"""`ctid webhook`."""

from typing import Any

from ctid.cli.exits import Exit

from .conftest import AT, FakeCtid, Run, problem

HOOK: dict[str, Any] = {
    "name": "crm",
    "host": "https://crm.example",
    "state": "failing",
    "since": AT,
    "delivered": 12,
    "waiting": 3,
    "dead": 1,
    "dropped": 0,
    "last_error": "answered 503",
    "last_error_at": AT,
    "degraded": "",
}
DEAD: dict[str, Any] = {
    "id": "b1-7",
    "type": "ctid.call.answered",
    "subject": "calls/lab.1",
    "kept_at": AT,
    "died_at": AT,
    "tries": 1,
    "reason": "answered 400",
}


def test_list(server: FakeCtid, run: Run) -> None:
    """How each stands; none is said in words."""
    server.answers["GET /webhooks"] = 200, {"items": [HOOK]}
    code, text, _ = run("webhook", "list")
    assert code == Exit.OK
    for word in ("crm", "failing", "https://crm.example", "12", "answered 503"):
        assert word in text
    server.answers["GET /webhooks"] = 200, {"items": []}
    assert "no webhook is configured" in run("webhook", "list")[1]


def test_dead_page_after_page(server: FakeCtid, run: Run) -> None:
    """All of them, with why; none is said in words."""
    server.answers["GET /webhooks/crm/dead?limit=500"] = 200, {"items": [DEAD], "next": "c2"}
    second = DEAD | {"id": "b1-9"}
    server.answers["GET /webhooks/crm/dead?limit=500&cursor=c2"] = 200, {"items": [second], "next": None}
    code, text, _ = run("webhook", "dead", "crm")
    assert code == Exit.OK
    assert [word in text for word in ("b1-7", "b1-9", "answered 400", "calls/lab.1")] == [True] * 4
    server.answers["GET /webhooks/quiet/dead?limit=500"] = 200, {"items": [], "next": None}
    assert "no letter is dead" in run("webhook", "dead", "quiet")[1]


def test_retry(server: FakeCtid, run: Run) -> None:
    """All, or those that are named."""
    server.answers["POST /webhooks/crm/retry"] = 200, {"retried": 2}
    assert "2 events wait again" in run("webhook", "retry", "crm")[1]
    run("webhook", "retry", "crm", "b1-7", "b1-9")
    assert [body for _, _, body in server.asked] == [{}, {"events": ["b1-7", "b1-9"]}]


def test_test(server: FakeCtid, run: Run) -> None:
    """What was answered; the exit code says whether it arrived."""
    tested = {"id": "b1-9-test-1", "delivered": True, "status": 200, "answer": "welcome", "problem": ""}
    server.answers["POST /webhooks/crm/test"] = 200, tested
    code, text, _ = run("webhook", "test", "crm")
    assert (code, "taken: 200 welcome" in text) == (Exit.OK, True)
    failed = tested | {"delivered": False, "status": 404, "answer": "", "problem": "answered 404 Not Found"}
    server.answers["POST /webhooks/crm/test"] = 200, failed
    code, text, _ = run("webhook", "test", "crm")
    assert (code, "not taken: answered 404 Not Found" in text) == (Exit.REFUSED, True)


def test_status(server: FakeCtid, run: Run) -> None:
    """`ctid status` tells how each stands, and why one does not send."""
    links: dict[str, Any] = {"pbxs": [], "broker": None, "missing": [], "tokens": []}
    ctid = {"version": "1", "site": "lab", "at": AT, "started_at": AT, "ready": True}
    fine = HOOK | {"name": "lamp", "state": "ok"}
    server.answers["GET /status"] = 200, ctid | links | {"webhooks": [HOOK, fine]}
    _, text, _ = run("status")
    assert "webhook crm ! FAILING  delivered 12, waiting 3, dead 1, dropped 0  answered 503" in text
    assert "webhook lamp ● ok  delivered 12, waiting 3, dead 1, dropped 0\n" in text


def test_unknown(server: FakeCtid, run: Run) -> None:
    """A refusal is told as everywhere."""
    server.answers["POST /webhooks/none/test"] = problem(404, "webhook.unknown", "none")
    assert run("webhook", "test", "none")[0] == Exit.REFUSED

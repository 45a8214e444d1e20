from collections.abc import Callable
from typing import Any

import pytest

from ctid.cli.exits import Exit

from .conftest import AT, FakeCtid, Run, problem

RunJson = Callable[..., tuple[int, Any]]

LAW = {
    "max_session_s": 1800.0,
    "agent_minutes_per_week": 60.0,
    "warn_minutes_per_week": 45.0,
    "agent_sessions_per_day": 3,
    "calls_per_follow": 3,
    "periods_required": True,
}
BOUNDS = "At most 30 minutes a session, 60 minutes an agent a week, 3 sessions an agent a day."
PERIODS = {
    "timezone": "Europe/Paris",
    "law": LAW,
    "teams": [
        {"team": "*", "periods": [], "notice": "mqtt"},
        {
            "team": "blue",
            "periods": [
                {"days": ["mon", "tue"], "dates": ["2026-03-05"], "begins": "09:00", "ends": "12:00"}
            ],
            "notice": "tone",
        },
    ],
    "at": AT,
    "windows": {"*": [], "blue": []},
}
SESSION = {
    "id": "s1",
    "supervisor": "anna",
    "purpose": "assistance",
    "origin": "agent_request",
    "began_at": AT,
    "ended_at": None,
    "modes": ["listen", "whisper"],
    "notice": "tone",
    "notice_state": "given",
    "end": None,
}


def test_periods(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """Each team with its periods and its notice, by which clock, and the bounds."""
    server.answers["GET /periods"] = (200, PERIODS)
    code, out, _ = run("periods")
    assert code == Exit.OK
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[1:] == [
        "* none mqtt",
        "blue mon tue 2026-03-05 09:00-12:00 tone",
        f"By the clock of Europe/Paris. {BOUNDS}",
    ]
    assert run_json("periods") == (0, PERIODS)
    none = LAW | dict.fromkeys(("max_session_s", "agent_minutes_per_week", "agent_sessions_per_day"), 0)
    server.answers["GET /periods"] = (200, PERIODS | {"law": none | {"periods_required": False}})
    assert "Paris; listening is not bound to them. No bound on minutes and sessions." in run("periods")[1]


def test_draw(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """Who was drawn among whom, with the seed; a refusal says why."""
    document = {"agent": "1001", "among": ["1001", "1002"], "seed": "ab"}
    server.answers["GET /draw?team=blue"] = (200, document)
    assert run("draw", "blue")[:2] == (Exit.OK, "1001  (among 1001 1002; seed ab)\n")
    assert run_json("draw", "blue") == (0, document)
    server.answers["GET /draw?team=red"] = problem(409, "supervision.outside_period", "no period")
    assert run("draw", "red")[0] == Exit.REFUSED


def test_sessions_about_an_agent(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """All pages in one table: who, when, how, why, and whether she was told."""
    ended = SESSION | {"id": "s0", "ended_at": AT, "origin": "supervisor", "modes": ["listen"]}
    server.answers["GET /agents/1001/sessions?limit=500"] = (200, {"items": [SESSION], "next": "s1"})
    server.answers["GET /agents/1001/sessions?limit=500&cursor=s1"] = (200, {"items": [ended], "next": None})
    code, out, _ = run("agent", "sessions", "1001")
    assert code == Exit.OK
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[1:] == [
        f"{AT} goes on anna listen whisper assistance she asked tone: given",
        f"{AT} {AT} anna listen assistance tone: given",
    ]
    assert run_json("agent", "sessions", "1001") == (0, {"items": [SESSION, ended]})
    server.answers["GET /agents/1001/sessions"] = (200, {"items": [], "next": None})
    server.answers.pop("GET /agents/1001/sessions?limit=500")
    assert run("agent", "sessions", "1001")[1] == "Nobody has listened to 1001.\n"


def test_a_token_of_a_team(run: Run) -> None:
    """Teams, and who she is among the agents, are in the lines for the configuration."""
    _, out, _ = run(
        "token", "print", "anna", "--role", "supervisor", "--team", "blue", "--team", "*", "--agent", "1001"
    )
    assert 'teams = ["blue", "*"]\nagent = "1001"' in out
    with pytest.raises(SystemExit):
        run("token", "print", "anna", "--team", 'a"b')


def test_check_config_tells_what_is_doubtful(run: Run, run_json: RunJson, tmp_path: Any) -> None:
    """The file is good, and nobody may listen: both are told."""
    file = tmp_path / "ctid.toml"
    file.write_text('[[pbx]]\nid = "main"\ndriver = "asterisk"\nusername = "x"\nsecret = "y"\n')
    code, out, _ = run("check-config", str(file))
    assert code == Exit.OK
    assert "but law.periods_required: there is no [[period]]" in out
    code, document = run_json("check-config", str(file))
    assert (code, document["ok"], len(document["warnings"])) == (0, True, 1)

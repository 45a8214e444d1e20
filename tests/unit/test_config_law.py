import hashlib
from datetime import UTC, date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ctid import config_law
from ctid.config import Config, load
from ctid.config_law import NoZone, gate_of, law_warnings, zone_of
from ctid.model.ids import AgentId
from ctid.model.users import Right, User, UserRole
from ctid.model.words import NoticeKind
from ctid.supervision.law import Law
from ctid.supervision.periods import Period

MINIMAL = '[[pbx]]\nid = "main"\ndriver = "asterisk"\n'
AGENT = '[[agent]]\nid = "1001"\nteam = "north"\n'


def token(name: str, role: str = "supervisor", **more: str) -> str:
    """A `[[token]]`."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    keys = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f'[[token]]\nname = "{name}"\nrole = "{role}"\nsha256 = "{digest}"\n{keys}'


def grant(keys: str, rights: str = '"listen"', teams: str = '"north"') -> str:
    """A `[[grant]]`."""
    return f"[[grant]]\n{keys}\nteams = [{teams}]\nrights = [{rights}]\n"


def period(team: str = "north") -> str:
    """A `[[period]]` of Mondays and one date."""
    return (
        f'[[period]]\nteam = "{team}"\ndays = ["mon"]\ndates = ["2026-03-03"]\nfrom = "09:00"\nto = "24:00"\n'
    )


def read(folder: Path, *parts: str) -> Config:
    """Load a configuration of these parts."""
    file = folder / "ctid.toml"
    file.write_text(MINIMAL + "".join(parts))
    return load(file)


def test_the_gate_is_as_the_file_says(tmp_path: Path) -> None:
    """Rights, staff, bounds, periods and notices land where they are asked for."""
    config = read(
        tmp_path,
        AGENT,
        '[[agent]]\nid = "1002"\nprotected = true\n[[agent]]\nid = "1003"\nsupervisor = true\n',
        token("sofia", teams='["north"]', agent='"1004"'),
        token("root", "admin", agent='"1005"'),
        grant('user = "root"'),
        '[law]\nmax_session_s = 60\ntimezone = "Europe/Paris"\n',
        period(),
        '[[team]]\nid = "north"\nnotice = "tone"\n',
    )
    gate = gate_of(config)
    assert gate.rights.may(User(name="root", role=UserRole.ADMIN), Right.LISTEN, "north")
    assert not gate.rights.may(User(name="root", role=UserRole.ADMIN), Right.COMMAND, "north")
    assert gate.staff.teams == {"1001": "north", "1002": "", "1003": ""}
    assert gate.staff.protected == {"1002"}
    assert gate.staff.supervisors == {AgentId("1003"), AgentId("1004")}
    assert gate.law.max_session_s == 60
    assert gate.calendar.zone == ZoneInfo("Europe/Paris")
    assert gate.calendar.periods == (
        Period(team="north", begins=540, ends=1440, days=frozenset({0}), dates=frozenset({date(2026, 3, 3)})),
    )
    assert gate.notice_of("north") is NoticeKind.TONE


def test_an_old_configuration_denies(tmp_path: Path) -> None:
    """Without a grant, a team and a period the defaults hold: nobody listens, and each lack is told."""
    config = read(tmp_path, token("sofia"))
    gate = gate_of(config)
    assert gate.law == Law()
    assert gate.rights.modes(User(name="sofia", role=UserRole.SUPERVISOR), "") == frozenset()
    supervisor, periods = law_warnings(config)
    assert (
        'token[0]: sofia is a supervisor, and may listen to nobody; give the token teams = ["north"]'
        in supervisor
    )
    assert "there is no [[period]], so nobody may be listened to; add a [[period]], or set" in periods


def test_a_configuration_without_doubts(tmp_path: Path) -> None:
    """Tells nothing."""
    config = read(tmp_path, AGENT, token("sofia", teams='["north"]'), period())
    assert law_warnings(config) == []
    free = read(tmp_path, token("sofia", teams='["*"]'), "[law]\nperiods_required = false\n")
    assert law_warnings(free) == []


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (
            [grant('role = "supervisor"', teams='"own", "nord"')],
            "grant[0].teams: no agent is in a team 'nord'",
        ),
        (
            [token("paul", teams='["noth"]')],
            "token[1].teams: no agent is in a team 'noth'; did you mean 'north'?",
        ),
        ([period("est"), period("*")], "period[1].team: no agent is in a team 'est'"),
        (
            [grant('role = "viewer"'), grant('role = "supervisor"')],
            "grant[0].rights: only the roles supervisor",
        ),
        ([token("vera", "viewer"), grant('user = "vera"'), grant('user = "sofia"')], "grant[0].rights: only"),
        ([grant('user = "vera"')], "grant[0].user: 'vera' is no [[token]]; `ctid token list`"),
        (['[[agent]]\nid = "1002"\nteam = "south"\n'], "law.periods_required: no [[period]] for south; add"),
    ],
)
def test_doubts(tmp_path: Path, parts: list[str], told: str) -> None:
    """Each has a sentence, with what may be meant."""
    sofia = token("sofia", teams='["north"]')
    assert told in " | ".join(law_warnings(read(tmp_path, AGENT, sofia, period(), *parts)))


def test_the_zone_of_no_name_is_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`$TZ`, else /etc/localtime with its name where that can be told, else UTC."""
    monkeypatch.setenv("TZ", "Europe/Paris")
    assert zone_of("") == ZoneInfo("Europe/Paris")
    assert str(zone_of("Asia/Tokyo")) == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "No/Where")
    with pytest.raises(NoZone, match="the time zone No/Where of this machine is not known"):
        zone_of("")
    monkeypatch.delenv("TZ")
    link = tmp_path / "zoneinfo" / "localtime"
    link.parent.mkdir()
    monkeypatch.setattr(config_law, "LOCAL_TIME", link)
    assert zone_of("").utcoffset(None) == UTC.utcoffset(None)
    paris = next(Path(folder, "Europe/Paris") for folder in ("/usr/share/zoneinfo",))
    link.symlink_to(paris)
    assert str(zone_of("")) == "Europe/Paris"
    link.unlink()
    link.write_text("no zone")
    with pytest.raises(NoZone, match="localtime of this machine"):
        zone_of("")

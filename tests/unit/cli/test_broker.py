import asyncio
from pathlib import Path

import pytest

from ctid.cli import main
from ctid.cli.exits import Exit
from ctid.identity.kept import Kept
from ctid.identity.records import Person, Token
from ctid.model.instant import Instant
from ctid.model.users import UserRole

CONFIG = """
site = "nord"
state_directory = "{}"
[mqtt]
username = "daemon"
[[pbx]]
id = "main"
driver = "asterisk"
username = "u"
secret = "s"
[[token]]
name = "anna"
role = "supervisor"
sha256 = "{}"
[[token]]
name = "wall"
role = "viewer"
sha256 = "{}"
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration with two tokens."""
    path = tmp_path / "ctid.toml"
    path.write_text(CONFIG.format(tmp_path, "a" * 64, "b" * 64))
    return str(path)


def test_access_list(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each token's client has what its role may; others are named beside; the daemon is its own user."""
    more = ["--client", "eva:agent:1001", "--client", "wall:admin"]
    assert main(["mqtt-acl", "--config", config, *more]) == Exit.OK
    told = capsys.readouterr().out
    sections = {part.split("\n", 1)[0].strip(): part for part in told.split("user ")}
    assert "topic readwrite ctid/nord/#" in sections["daemon"]
    assert "topic read ctid/nord/supervisions/+" in sections["anna"]
    assert "topic read ctid/nord/supervisions/+" in sections["wall"]
    assert "topic read ctid/nord/agents/1001\n" in sections["eva"]
    assert main(["mqtt-acl", "--config", config, "--json"]) == Exit.OK
    assert '"acl":"# Who may' in capsys.readouterr().out


def test_access_list_refused(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A client of the daemon's name, one without a role, a configuration that is not there."""
    assert main(["mqtt-acl", "--config", config, "--client", "daemon:viewer"]) == Exit.USAGE
    assert "cannot be the name of a client" in capsys.readouterr().err
    assert main(["mqtt-acl", "--config", str(tmp_path / "gone.toml")]) == Exit.CONFIG
    with pytest.raises(SystemExit):
        main(["mqtt-acl", "--config", config, "--client", "eva:boss"])
    assert "write name:role" in capsys.readouterr().err


async def _keep(folder: Path) -> None:
    """Keep tokens and people, as `ctid token` and `ctid user` do: some may come in, and some may not."""
    kept, at, by = Kept(folder), Instant(1.0), "local:root"
    role = UserRole.INTEGRATOR
    await kept.change(
        put=[
            Token(id="t1", name="crm", sha256="1", role=role, made_at=at, made_by=by),
            Token(
                id="t2", name="clicker", sha256="2", role=role, made_at=at, made_by=by, scopes=("calls.dial",)
            ),
            Token(id="t3", name="old", sha256="3", role=role, made_at=at, made_by=by, expires=Instant(2.0)),
            Person(name="eva", role=UserRole.AGENT, agent="1001", made_at=at, made_by=by),
            Person(name="gone", role=UserRole.ADMIN, made_at=at, made_by=by, disabled=True),
        ]
    )
    await kept.close()


def test_those_who_are_known_since_the_start(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tokens and users of the file count as those of the configuration do, while they are good."""
    asyncio.run(_keep(tmp_path))
    assert main(["mqtt-acl", "--config", config]) == Exit.OK
    sections = {part.split("\n", 1)[0]: part for part in capsys.readouterr().out.split("\nuser ")[1:]}
    assert set(sections) == {"daemon", "anna", "wall", "crm", "clicker", "eva"}
    assert "topic read ctid/nord/calls/+" in sections["crm"]
    assert "calls" not in sections["clicker"]
    assert "topic read ctid/nord/agents/1001\n" in sections["eva"]


def test_a_file_that_cannot_be_read(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, and no list is printed that leaves somebody out."""
    (tmp_path / "identity.db").write_bytes(b"no database" * 100)
    assert main(["mqtt-acl", "--config", config]) == Exit.REFUSED
    told = capsys.readouterr()
    assert told.out == ""
    assert "as the user of ctid" in told.err

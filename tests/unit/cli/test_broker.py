from pathlib import Path

import pytest

from ctid.cli import main
from ctid.cli.exits import Exit

CONFIG = """
site = "nord"
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
    path.write_text(CONFIG.format("a" * 64, "b" * 64))
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

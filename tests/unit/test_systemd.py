import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ctid.cli.exits import Exit

FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "ctid.service"


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of systemd's tools."""
    command = [shutil.which(program) or program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours


def settings(name: str) -> list[str]:
    """The values of a setting in the unit, in their order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_unit_verifies(tmp_path: Path) -> None:
    """The unit is accepted without a word; only the program's path is another here."""
    program = tmp_path / "ctid-program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / "ctid.service"
    text, replaced = re.subn(r"(?m)^ExecStart=\S+", f"ExecStart={program}", UNIT.read_text("utf-8"))
    assert replaced == 1
    copy.write_text(text, "utf-8")
    done = run("systemd-analyze", "verify", "--man=no", str(copy))
    about_us = [line for line in (done.stdout + done.stderr).splitlines() if "ctid" in line]
    assert (done.returncode, about_us) == (0, [])


def test_unit_and_daemon_agree() -> None:
    """The unit notifies, hands over what ctid.toml names, and does not retry what cannot mend itself."""
    assert settings("Type") == ["notify"]
    assert int(settings("WatchdogSec")[0]) >= 4
    credentials = {value.split(":")[0] for value in settings("LoadCredential")}
    toml = (FOLDER.parent / "config" / "ctid.toml").read_text("utf-8")
    assert credentials == set(re.findall(r'^\w+_file = "([^"]+)"', toml, re.MULTILINE))
    assert settings("RestartPreventExitStatus") == [f"{Exit.USAGE.value} {Exit.CONFIG.value}"]
    assert settings("ExecStart") == ["/opt/ctid/bin/ctid run --config /etc/ctid/ctid.toml"]


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
def test_sysusers(tmp_path: Path) -> None:
    """The file makes the daemon's user in an empty root."""
    (tmp_path / "etc").mkdir()
    assert run("systemd-sysusers", f"--root={tmp_path}", "--inline", *rules("ctid.sysusers")).returncode == 0
    assert "ctid:" in (tmp_path / "etc" / "passwd").read_text("utf-8")


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="systemd-tmpfiles is not installed")
def test_tmpfiles(tmp_path: Path) -> None:
    """Every line is taken, and a secret is closed to all but root."""
    (tmp_path / "etc" / "ctid").mkdir(parents=True)
    secret = tmp_path / "etc" / "ctid" / "ami-secret"
    secret.write_text("x")
    secret.chmod(0o644)
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nctid:x:0:0::/:/bin/sh\n")
    (tmp_path / "etc" / "group").write_text("root:x:0:\nctid:x:0:\n")
    done = run("systemd-tmpfiles", f"--root={tmp_path}", "--create", str(FOLDER / "ctid.tmpfiles"))
    assert (done.returncode, done.stderr) == (0, "")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "var" / "lib" / "ctid").is_dir()


def rules(name: str) -> list[str]:
    """The lines of a file that are no comments."""
    return [line for line in (FOLDER / name).read_text("utf-8").splitlines() if line and line[0] != "#"]

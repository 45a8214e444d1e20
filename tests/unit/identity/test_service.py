"""The daemon's side: what others change in the file, what the audit is told, and what is kept of use."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from argon2 import PasswordHasher

from ctid.audit import Audit
from ctid.audit.entries import Selection
from ctid.identity import service
from ctid.identity.directory import Directory
from ctid.identity.kept import FILE, IdentityRefused, IdentityUnavailable, Kept
from ctid.identity.passwords import WAITING, Busy, Passwords
from ctid.identity.records import Bearer
from ctid.identity.registry import Known, Registry
from ctid.identity.service import SESSIONS, Identity
from ctid.identity.tokens import token_hash
from ctid.model.errors import AuditUnavailable, AuthRequired
from ctid.model.users import UserRole
from ctid.tasks import TaskOwner

NOW = 1_780_000_000.0
WEAK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
STRONGER = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery"
ANNA = Bearer(name="anna", role=UserRole.SUPERVISOR, agent="1001")


class Times:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        """UTC."""
        return self.time


@asynccontextmanager
async def opened(
    folder: Path, times: Times | None = None, hasher: PasswordHasher = WEAK, **parts: Any
) -> AsyncIterator[Identity]:
    """A daemon's identity on a folder."""
    clock = times or Times()
    audit = parts.pop("audit", None) or Audit(folder, clock)
    identity = Identity(
        Kept(folder),
        Directory(parts.pop("tokens", ())),
        audit,
        clock,
        asyncio.get_running_loop().time,
        passwords=Passwords(hasher),
        **parts,
    )
    await identity.open()
    yield identity
    await identity.close()


@asynccontextmanager
async def beside(folder: Path, known: Known | None = None) -> AsyncIterator[Registry]:
    """What a command of the machine uses."""
    kept, passwords = Kept(folder), Passwords(WEAK)
    yield Registry(kept, passwords, known or Known(), Times())
    await kept.close()
    passwords.close()


async def events(folder: Path) -> list[str]:
    """What the audit tells."""
    items = await Audit(folder).items(Selection(), after=0, upto=1000, limit=1000)
    return [item.event for item in items]


async def test_what_a_command_changes_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that runs takes it over, tells the audit, and lets go who showed what is gone."""
    monkeypatch.setattr(service, "LOOK_S", 0.01)
    tasks = TaskOwner()
    async with opened(tmp_path) as identity, beside(tmp_path) as registry:
        tasks.spawn("identity", identity.run())
        secret, token = await registry.create_token(
            "local:root", Bearer(name="t", role=UserRole.VIEWER), None
        )
        async with asyncio.timeout(10):
            while token.id not in identity.directory.tokens:  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.01)
            user = identity.directory.authenticate(secret, NOW)
            ended = asyncio.gather(identity.until_ended(user, 1000.0))
            await registry.revoke_token("local:root", "t")
            await ended
        with pytest.raises(AuthRequired):
            identity.directory.authenticate(secret, NOW)
        await tasks.close()
    assert await events(tmp_path) == ["token_created", "token_revoked"]


async def test_what_happened_while_ctid_was_away_is_audited(tmp_path: Path) -> None:
    """A change is kept with what the audit is to be told, and told at the next start, once."""
    async with beside(tmp_path) as registry:
        await registry.add_person("local:root", ANNA, PASSWORD)
    for _ in range(2):
        async with opened(tmp_path) as identity:
            assert list(identity.directory.people) == ["anna"]
    assert await events(tmp_path) == ["user_created"]


async def test_an_audit_that_cannot_be_written(tmp_path: Path) -> None:
    """What it is to be told waits, and nothing is lost; the log says so."""

    class Full:
        async def write(self, _entry: object) -> None:
            raise AuditUnavailable("the disk is full")

    with structlog.testing.capture_logs() as logs:
        async with opened(tmp_path, audit=Full()) as identity:
            await identity.registry.add_person("a", ANNA, PASSWORD)
            await identity.refresh()
    assert [line["event"] for line in logs if line["log_level"] == "critical"] == ["audit failed"]
    async with opened(tmp_path):
        pass
    assert await events(tmp_path) == ["user_created"]


async def test_hashes_are_renewed_at_a_login(tmp_path: Path) -> None:
    """When the parameters have risen, a good login makes the hash anew; no password is in the file."""
    async with opened(tmp_path) as identity:
        await identity.registry.add_person("a", ANNA, PASSWORD)
    async with opened(tmp_path, hasher=STRONGER) as identity:
        before = identity.directory.people["anna"].password
        await identity.login("anna", PASSWORD, "p")
        assert "t=1" in before
        assert "t=2" in identity.directory.people["anna"].password
        await identity.login("anna", PASSWORD, "p")
    found = (tmp_path / FILE).read_bytes()
    assert PASSWORD.encode() not in found


async def test_sessions_of_one_user_are_bounded(tmp_path: Path) -> None:
    """The one that was used longest ago ends; a cookie's value is not in the file."""
    times = Times()
    async with opened(tmp_path, times) as identity:
        await identity.registry.add_person("a", ANNA, PASSWORD)
        await identity.refresh()
        secrets = []
        for _ in range(SESSIONS + 2):
            times.time += 1
            secrets.append((await identity.login("anna", PASSWORD, "p"))[0])
        assert len(identity.directory.sessions) == SESSIONS
        for secret in secrets[:2]:
            with pytest.raises(AuthRequired):
                identity.directory.session(secret, times.time)
        assert identity.directory.session(secrets[2], times.time)[0].name == "anna"
    assert secrets[2].encode() not in (tmp_path / FILE).read_bytes()


async def test_use_is_kept(tmp_path: Path) -> None:
    """When a token was used last is known after a restart; so is a session's."""
    times = Times()
    async with opened(tmp_path, times) as identity:
        secret, token = await identity.registry.create_token(
            "a", Bearer(name="t", role=UserRole.VIEWER), None
        )
        await identity.registry.add_person("a", ANNA, PASSWORD)
        await identity.refresh()
        cookie, _ = await identity.login("anna", PASSWORD, "p")
        times.time += 1800
        identity.directory.authenticate(secret, times.time)
        identity.directory.session(cookie, times.time)
    times.time += 1801
    async with opened(tmp_path, times) as identity:
        assert identity.directory.last_used(identity.directory.tokens[token.id]) == NOW + 1800
        assert identity.directory.session(cookie, times.time)[0].agent == "1001"


async def test_a_name_of_the_configuration_goes_before(tmp_path: Path) -> None:
    """A kept token of the same name is nobody's any more, and the log says so."""
    async with beside(tmp_path) as registry:
        secret, _ = await registry.create_token("a", Bearer(name="t", role=UserRole.ADMIN), None)
    entry = SimpleNamespace(
        name="t",
        role=UserRole.VIEWER,
        sha256=token_hash("config"),
        phones=(),
        expires=None,
        teams=(),
        agent="",
        scopes=(),
    )
    with structlog.testing.capture_logs() as logs:
        async with opened(tmp_path, tokens=[entry]) as identity:
            assert identity.directory.authenticate("config", NOW).role is UserRole.VIEWER
            with pytest.raises(AuthRequired):
                identity.directory.authenticate(secret, NOW)
    assert [line["name"] for line in logs if line["log_level"] == "warning"] == ["t"]


async def test_two_commands_at_once_give_a_name_once(tmp_path: Path) -> None:
    """The file itself sees to it, whoever asks."""
    async with beside(tmp_path) as one, beside(tmp_path) as other:
        made = await asyncio.gather(
            one.create_token("a", ANNA, None), other.add_person("b", ANNA, PASSWORD), return_exceptions=True
        )
    assert sorted(type(result).__name__ for result in made if isinstance(result, Exception)) == [
        "IdentityRefused"
    ]
    async with beside(tmp_path, Known(taken=frozenset({"anna"}))) as registry:
        with pytest.raises(IdentityRefused, match=r"\[\[token\]\]"):
            await registry.create_token("a", ANNA, None)


async def test_a_file_that_is_none(tmp_path: Path) -> None:
    """It is told with its cure, at the start and while it runs."""
    (tmp_path / FILE).write_text("no database" * 100)
    with pytest.raises(IdentityUnavailable, match="move it away"):
        async with opened(tmp_path):
            pass


async def test_a_file_that_breaks_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is known stays known, and the log says what is wrong."""
    monkeypatch.setattr(service, "LOOK_S", 0.01)
    tasks = TaskOwner()
    async with opened(tmp_path) as identity:
        secret, _ = await identity.registry.create_token("a", Bearer(name="t", role=UserRole.VIEWER), None)
        await identity.refresh()

        def broken(*_args: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with structlog.testing.capture_logs() as logs, monkeypatch.context() as patched:
            patched.setattr(identity._kept._database, "_open", broken)
            identity._kept._database._drop()
            tasks.spawn("identity", identity.run())
            async with asyncio.timeout(10):
                while not logs:  # noqa: ASYNC110 - a log tells nobody
                    await asyncio.sleep(0.01)
            assert identity.directory.authenticate(secret, NOW).name == "t"
            await tasks.close()
        assert logs[0]["event"] == "tokens and users cannot be read"


async def test_hashing_is_bounded() -> None:
    """Of very many who come at once, those beyond the bound are told to come back."""
    passwords = Passwords(WEAK)
    await passwords.open()
    kept = await passwords.hash(PASSWORD)
    results = await asyncio.gather(
        *(passwords.verify(kept, PASSWORD) for _ in range(WAITING + 3)), return_exceptions=True
    )
    assert results.count(True) == WAITING
    assert [type(one) for one in results if one is not True] == [Busy] * 3
    assert await passwords.verify("", "nobody's password") is False
    assert await passwords.verify("not a hash", PASSWORD) is False
    passwords.close()


async def test_an_unknown_name_costs_as_much(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the name, one hash is verified: what a login takes tells nothing of who is known."""
    verified = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, kept: str | bytes, password: str | bytes) -> Any:
        verified.append(str(kept).split("$")[3])
        return verify(self, kept, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    async with opened(tmp_path) as identity:
        await identity.registry.add_person("a", ANNA, PASSWORD)
        await identity.registry.add_person("a", Bearer(name="olga", role=UserRole.VIEWER), "")
        await identity.refresh()
        for name in ("anna", "nobody", "olga"):
            with pytest.raises(AuthRequired):
                await identity.login(name, "wrong password", "p")
    assert len(verified) == 3
    assert len(set(verified)) == 1

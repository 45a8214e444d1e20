"""The composition of identity: what the configuration makes of it."""

import asyncio

from msgspec.structs import replace

from ctid.api.operations import OPERATIONS
from ctid.audit import Audit
from ctid.config import Config
from ctid.config_identity import oidc_rules
from ctid.identity.directory import Directory
from ctid.identity.kept import Kept
from ctid.identity.oidc import Oidc
from ctid.identity.registry import Known
from ctid.identity.service import Identity, SessionRules
from ctid.model.ids import AgentId
from ctid.model.users import UserRole
from ctid.ports import Clock
from ctid.supervision.gate import Gate


def known_of(config: Config) -> Known:
    """What tokens and users have to fit to."""
    return Known(
        taken=frozenset(token.name for token in config.tokens),
        phones=frozenset(phone.name for phone in config.phones),
        operations=frozenset(OPERATIONS),
    )


def identity_of(config: Config, audit: Audit, gate: Gate, clock: Clock) -> Identity:
    """Who may come in, not opened yet; whoever is an agent and a supervisor is so to `gate` as well."""
    idle_s = config.sessions.idle_minutes * 60
    identity = Identity(
        Kept(config.state_directory),
        Directory(config.tokens, idle_s),
        audit,
        clock,
        asyncio.get_running_loop().time,
        known=known_of(config),
        rules=SessionRules(idle_s=idle_s, longest_s=config.sessions.longest_hours * 3600),
    )
    configured = gate.staff

    def follow_staff() -> None:
        bearers = identity.directory.bearers()
        kept = {AgentId(one.agent) for one in bearers if one.agent and one.role is UserRole.SUPERVISOR}
        gate.staff = replace(configured, supervisors=configured.supervisors | kept)

    identity.on_change = follow_staff
    return identity


def oidc_of(config: Config, clock: Clock) -> Oidc | None:
    """The client of the OpenID provider; none: the configuration has none."""
    rules = oidc_rules(config)
    return Oidc(rules, clock, asyncio.get_running_loop().time) if rules is not None else None

"""Who asks. Rights are given by role; a role's rights over an operation are in the operations table."""

from enum import StrEnum

from msgspec import Struct


class UserRole(StrEnum):
    """The roles a token can have."""

    VIEWER = "viewer"
    """Sees the floor, callers' numbers masked."""
    INTEGRATOR = "integrator"
    """A tool that reads the state, callers' numbers masked."""
    SUPERVISOR = "supervisor"
    """Sees the floor and supervises calls by the phones she is allowed."""
    ADMIN = "admin"


class User(Struct, frozen=True, kw_only=True):
    """An authenticated person or tool. `phones` are names of `[[phone]]` in the configuration."""

    name: str
    role: UserRole
    phones: frozenset[str] = frozenset()

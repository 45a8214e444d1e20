"""Sessions and the OpenID provider in the configuration: what is wrong, and the rules."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from ctid.config_schema import Config
from ctid.hosts import is_loopback
from ctid.identity.oidc import OidcRules
from ctid.toml_reader import Mistake

CALLBACK = "/api/v1/oidc/callback"
_LONGEST_IDLE_MINUTES = 1440.0
_LONGEST_HOURS = 168.0


def identity_mistakes(config: Config) -> Iterator[Mistake]:
    """What the types of `[sessions]` and `[oidc]` do not say."""
    sessions = config.sessions
    for key, value, most, unit in (
        ("idle_minutes", sessions.idle_minutes, _LONGEST_IDLE_MINUTES, "minutes"),
        ("longest_hours", sessions.longest_hours, _LONGEST_HOURS, "hours"),
    ):
        if not 0 < value <= most:
            cure = f"{unit}, more than 0, {most:g} at most"
            yield Mistake(path=("sessions", key), problem=f"{value:g} is out of range", cure=cure)
    oidc = config.oidc
    if oidc is None:
        return
    for key, url in (("issuer", oidc.issuer), ("redirect_uri", oidc.redirect_uri)):
        if not _is_safe_url(url):
            cure = "write an https:// URL; http:// is for the loopback alone"
            yield Mistake(path=("oidc", key), problem=f"{url!r} is no such URL", cure=cure)
    if not oidc.redirect_uri.endswith(CALLBACK):
        problem, cure = f"{oidc.redirect_uri!r} is not where ctid takes logins", f"let it end in {CALLBACK}"
        yield Mistake(path=("oidc", "redirect_uri"), problem=problem, cure=cure)
    if not oidc.groups:
        cure = "add an [[oidc.group]] with group and role"
        yield Mistake(path=("oidc",), problem="no group may use ctid, so that nobody is let in", cure=cure)


def oidc_rules(config: Config) -> OidcRules | None:
    """What a good configuration says of the provider; none: there is none."""
    oidc = config.oidc
    if oidc is None:
        return None
    return OidcRules(
        issuer=oidc.issuer,
        client_id=oidc.client_id,
        client_secret=oidc.client_secret,
        redirect_uri=oidc.redirect_uri,
        scopes=oidc.scopes,
        name_claim=oidc.name_claim,
        groups_claim=oidc.groups_claim,
        agent_claim=oidc.agent_claim,
        groups=oidc.groups,
    )


def _is_safe_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_good = parts.port != 0
    except ValueError:
        return False
    host = parts.hostname or ""
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return safe and bool(host) and port_is_good and not parts.query and not parts.fragment

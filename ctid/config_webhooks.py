"""Webhooks in the configuration: what is wrong with them. Pure."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from ctid.config_schema import Config, WebhookConfig
from ctid.hosts import is_loopback
from ctid.model.ids import safe_id
from ctid.toml_reader import Mistake, nearest
from ctid.webhooks.matching import PATTERN
from ctid.webhooks.popping import CALLERS, WORDS, places_of
from ctid.webhooks.signing import key_of

if TYPE_CHECKING:
    from ctid.toml_lines import Path as KeyPath

_TIMEOUTS_S = (1.0, 60.0)
_MAKE = "make one: `echo whsec_$(openssl rand -base64 32)`"

_Found = Iterator[tuple[str, str, str]]
"""Key, problem and cure."""


def webhook_mistakes(config: Config) -> Iterator[Mistake]:
    """What the types of `[[webhook]]` do not say."""
    teams = {team.id for team in config.teams} | {agent.team for agent in config.agents if agent.team}
    for index, hook in enumerate(config.webhooks):
        for key, problem, cure in (*_name(hook), *_url(hook), *_secrets(hook), *_pop(hook)):
            yield Mistake(path=("webhook", index, key), problem=problem, cure=cure)
        if not hook.events:
            cure = 'such as ["call.offered", "call.answered"]'
            yield Mistake(path=("webhook", index, "events"), problem="names no event", cure=cure)
        for number, pattern in enumerate(hook.events):
            if not PATTERN.fullmatch(pattern):
                path: KeyPath = ("webhook", index, "events", number)
                cure = 'a type without "ctid.", such as "call.answered", "call.*" or "*"'
                yield Mistake(path=path, problem=f"{pattern!r} names no events", cure=cure)
        for number, team in enumerate(hook.teams):
            if team not in teams:
                path = ("webhook", index, "teams", number)
                problem = f"there is no [[team]] {team!r}, and no [[agent]] of it"
                yield Mistake(path=path, problem=problem, cure=nearest(team, sorted(teams)))
        if not _TIMEOUTS_S[0] <= hook.timeout_s <= _TIMEOUTS_S[1]:
            cure = f"seconds, {_TIMEOUTS_S[0]:g} to {_TIMEOUTS_S[1]:g}"
            problem = f"{hook.timeout_s:g} is out of range"
            yield Mistake(path=("webhook", index, "timeout_s"), problem=problem, cure=cure)


def _name(hook: WebhookConfig) -> _Found:
    if not hook.name or safe_id(hook.name) != hook.name:
        yield "name", f"{hook.name!r} is no id", "use letters, digits and _ . @ : = ~ - only"


def _url(hook: WebhookConfig) -> _Found:
    parts = _split(hook.url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        yield "url", "is no URL of http or https", 'such as "https://crm.example/hooks/ctid"'
    elif parts.username is not None:
        cure = "leave it out: the receiver knows ctid by the signature"
        yield "url", "has a user name in it", cure
    elif parts.scheme == "http" and not is_loopback(parts.hostname) and not hook.allow_plain:
        cure = "use https, or set allow_plain = true where the network between is trusted"
        yield "url", f"sends to {parts.hostname} without TLS", cure


def _secrets(hook: WebhookConfig) -> _Found:
    if not hook.secret:
        yield "secret", "is missing: the receiver could not tell ctid from another", _MAKE
    for key in ("secret", "old_secret"):
        secret = getattr(hook, key)
        try:
            if secret:
                key_of(secret)
        except ValueError as error:
            yield key, str(error), _MAKE


def _pop(hook: WebhookConfig) -> _Found:
    if not hook.pop_url:
        return
    parts = _split(hook.pop_url)
    if parts is None or not parts.scheme or not hook.pop_url.isprintable():
        yield "pop_url", "is no URL", 'such as "https://crm.example/search?n={number}"'
        return
    for place in places_of(hook.pop_url):
        if place not in WORDS:
            yield "pop_url", f"has no word for {{{place}}}", nearest(place, WORDS)
        elif place in CALLERS and hook.numbers != "full":
            yield "pop_url", f"{{{place}}} would be masked", 'set numbers = "full" for this webhook'


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.port != 0
    except ValueError:
        return None
    return parts if usable else None

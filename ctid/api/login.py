"""How sessions begin: by a password, or by the word of the OpenID provider."""

from collections.abc import Awaitable, Callable
from functools import partial
from html import escape

import structlog
from aiohttp import web

from ctid.api import refusals
from ctid.api.asking import asked_for
from ctid.api.auth import COOKIE, LOCAL_COOKIE, is_local, is_same_origin
from ctid.api.decoding import json_object, message_of
from ctid.api.dispatch import encoded
from ctid.api.door import Door
from ctid.api.errors import CrossSite
from ctid.api.identity import Login, session_now
from ctid.api.operations import BASE
from ctid.identity.oidc import Oidc, Refused
from ctid.identity.records import Session
from ctid.model.errors import CtidError

log = structlog.get_logger(__name__)

_LOGIN_COOKIE = "-login"
"""Ends the name of the cookie that binds a login at the provider to the browser that began it."""
_PAGE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Logins:
    """The routes; `read_body` reads a request's body within the server's bounds."""

    def __init__(self, door: Door, read_body: Callable[[web.Request], Awaitable[bytes]]) -> None:
        self._context = door.context
        self._identity = door.context.identity
        self._oidc: Oidc | None = door.context.oidc
        self._read_body = read_body

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_post(f"{BASE}/session", self._log_in)
        if self._oidc is not None:
            begin, finish = partial(self._to_provider, self._oidc), partial(self._from_provider, self._oidc)
            router.add_get(f"{BASE}/oidc/login", begin, allow_head=False)
            router.add_get(f"{BASE}/oidc/callback", finish, allow_head=False)

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        peer = request.remote or ""
        refusals.came_by("http", peer)
        if "Origin" in request.headers and not is_same_origin(request.headers, request.scheme, request.host):
            raise CrossSite("a page of another site sent this login")
        asked = message_of(Login, json_object(await self._read_body(request)))
        try:
            secret, session = await self._identity.login(asked.name, asked.password, peer)
        except CtidError as error:
            refusals.tell(error, refusals.claimed(asked.name), asked_for(request))
            raise
        user, _ = self._identity.directory.session(secret, self._context.clock.now())
        response = web.Response(
            status=201, body=encoded(session_now(self._context, user)), content_type="application/json"
        )
        self._set_cookie(request, response, secret, session)
        return response

    def _set_cookie(
        self, request: web.Request, response: web.StreamResponse, secret: str, session: Session
    ) -> None:
        local = is_local(request.host)
        response.set_cookie(
            LOCAL_COOKIE if local else COOKIE,
            secret,
            path="/",
            secure=not local,
            httponly=True,
            samesite="Strict",
            max_age=int(session.expires_at - session.made_at),
        )

    # The OpenID provider --------------------------------------------------------------------------

    async def _to_provider(self, oidc: Oidc, request: web.Request) -> web.StreamResponse:
        try:
            address, binding = await oidc.begin(request.remote or "")
        except Refused as refused:
            return await self._refused(request, refused)
        response = web.Response(status=302, headers={"Location": address})
        local = is_local(request.host)
        # Lax: the provider sends the browser back, and with Strict it would come without.
        response.set_cookie(
            (LOCAL_COOKIE if local else COOKIE) + _LOGIN_COOKIE,
            binding,
            path="/",
            secure=not local,
            httponly=True,
            samesite="Lax",
            max_age=600,
        )
        return response

    async def _from_provider(self, oidc: Oidc, request: web.Request) -> web.StreamResponse:
        peer = request.remote or ""
        refusals.came_by("http", peer)
        name = (LOCAL_COOKIE if is_local(request.host) else COOKIE) + _LOGIN_COOKIE
        try:
            vouched = await oidc.finish(dict(request.query), request.cookies.get(name, ""))
            bearer = oidc.completed(vouched, self._identity.directory)
        except Refused as refused:
            return await self._refused(request, refused)
        secret, session = await self._identity.vouched(bearer, peer)
        # A page, and no redirect: the browser came from another site, and would not send a Strict cookie on.
        response = _page(200, "Logged in", '<p><a href="/">On to ctid</a></p>', refresh=True)
        self._set_cookie(request, response, secret, session)
        response.del_cookie(name, path="/", secure=name.startswith(COOKIE), httponly=True, samesite="Lax")
        return response

    async def _refused(self, request: web.Request, refused: Refused) -> web.StreamResponse:
        peer = request.remote or ""
        log.warning(
            "refused",
            code=f"oidc.{refused.code}",
            user=refused.name or refusals.NOBODY,
            operation=asked_for(request),
            carrier="http",
            peer=peer,
            reason=refused.detail,
        )
        if refused.status != 503:
            await self._identity.failed_elsewhere(refused.name or refusals.NOBODY, peer, refused.code)
        text = f"<p>{escape(refused.detail)}</p><p>[oidc.{escape(refused.code)}]</p>"
        return _page(refused.status, "You cannot be let in", text)


def _page(status: int, title: str, body: str, *, refresh: bool = False) -> web.Response:
    onwards = '<meta http-equiv="refresh" content="0;url=/">' if refresh else ""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{onwards}<title>{title}</title></head>'
        f"<body><h1>{title}</h1>{body}</body></html>"
    )
    headers = {"Content-Security-Policy": _PAGE_POLICY, "Referrer-Policy": "no-referrer"}
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)

"""Raised hands by the API: the requests, handed to the room."""

from typing import Annotated

from msgspec import Meta, Struct

from ctid.api.agents import commandable
from ctid.api.context import ApiContext
from ctid.api.listing import ById
from ctid.api.paging import ListRequest, page
from ctid.help.service import LONGEST_TEXT
from ctid.model.entities import Help, Supervision
from ctid.model.errors import NotFound
from ctid.model.ids import HelpId
from ctid.model.users import User, UserRole
from ctid.model.words import HelpState, Mode
from ctid.supervision.requests import Via

ROLES = frozenset({UserRole.AGENT, UserRole.SUPERVISOR, UserRole.ADMIN})
"""Those who raise hands: an agent her own."""


class RaiseHand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who asks for help, and what about."""

    id: str
    text: Annotated[
        str, Meta(max_length=LONGEST_TEXT, description="For the supervisors; it is not told on MQTT.")
    ] = ""


class ListHands(ListRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raised hands, all or those that match every filter."""

    state: HelpState | None = None
    agent: Annotated[str, Meta(description="An agent's id.")] | None = None
    team: Annotated[str, Meta(description="A team's name, as the configuration gives it.")] | None = None


class HelpPage(Struct, frozen=True, kw_only=True):
    """Raised hands in the order of their ids; `next` and `seq` as everywhere."""

    items: tuple[Help, ...]
    next: str | None
    seq: int


class ClaimHelp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what the supervisor comes, and how."""

    id: str
    via: Via
    mode: Mode = Mode.LISTEN


async def raise_hand(context: ApiContext, user: User, request: RaiseHand) -> Help:
    """Raise a hand."""
    agent = commandable(context, user, request.id)
    return await context.hands.ask(user, agent, request.text, context.carrier)


async def list_hands(context: ApiContext, user: User, request: ListHands) -> HelpPage:
    """List raised hands; to an agent her own."""
    found = (
        hand
        for hand in context.hub.store.helps.values()
        if request.state in (None, hand.state)
        and request.agent in (None, hand.agent)
        and request.team in (None, hand.team)
        and _sees(user, hand)
    )
    items, cursor = page(found, request)
    return HelpPage(items=items, next=cursor, seq=context.hub.store.seq)


async def get_hand(context: ApiContext, user: User, request: ById) -> Help:
    """Get one raised hand."""
    return _hand(context, user, request.id)


async def withdraw_hand(context: ApiContext, user: User, request: ById) -> Help:
    """Take one down."""
    hand = _hand(context, user, request.id)
    commandable(context, user, hand.agent)
    return await context.hands.withdraw(user, hand.id)


async def claim_hand(context: ApiContext, user: User, request: ClaimHelp) -> Supervision:
    """Take one, and step in."""
    return await context.hands.claim(user, HelpId(request.id), request.via, request.mode)


def _hand(context: ApiContext, user: User, ident: str) -> Help:
    hand = context.hub.store.helps.get(HelpId(ident))
    if hand is None or not _sees(user, hand):
        raise NotFound("help", ident)
    return hand


def _sees(user: User, hand: Help) -> bool:
    return user.role is not UserRole.AGENT or user.agent == hand.agent

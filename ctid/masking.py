"""What of a caller is hidden from those who need the state and not the person."""

from msgspec.structs import replace

from ctid.model.entities import Call, Entity, Party
from ctid.model.words import Direction, Role
from ctid.state.changes import Occurrence

_HIDDEN_ROLES = frozenset({Role.CUSTOMER, Role.OTHER})
_SHOWN_DIGITS = 2


def masked(entity: Entity) -> Entity:
    """Hide numbers and names of parties whose role is customer or other; other entities pass as they are.

    A number keeps its length and its last two digits, a name becomes empty. Idempotent.
    """
    return masked_call(entity) if isinstance(entity, Call) else entity


def masked_call(call: Call) -> Call:
    """`masked`, of a call.

    The number dialled is hidden as well when it is a person's: in an outbound call, and when one of the
    hidden parties has it.
    """
    hidden = {party.number for party in call.parties if party.role in _HIDDEN_ROLES and party.number}
    personal = call.direction is Direction.OUTBOUND or call.dialled in hidden
    return replace(
        call,
        parties=tuple([_masked_party(party) for party in call.parties]),
        dialled=masked_number(call.dialled) if personal else call.dialled,
    )


def masked_occurrence(occurrence: Occurrence) -> Occurrence:
    """Hide the number a call was transferred to; other occurrences tell of nobody outside."""
    if occurrence.name != "call_transferred":
        return occurrence
    return replace(occurrence, to=masked_number(occurrence.to))


def masked_number(number: str) -> str:
    """Replace all but the last two digits by stars; what does not end in digits, or is no longer, wholly."""
    tail = number[-_SHOWN_DIGITS:]
    if len(number) <= _SHOWN_DIGITS or not (tail.isascii() and tail.isdigit()):
        return "*" * len(number)
    return "*" * (len(number) - _SHOWN_DIGITS) + tail


def _masked_party(party: Party) -> Party:
    if party.role not in _HIDDEN_ROLES:
        return party
    # A registered phone is named after its number (`PJSIP/3001`); a trunk is not, and stays.
    named_after = party.device is not None and party.number != "" and party.number in party.device
    return replace(
        party,
        number=masked_number(party.number),
        name="",
        device=None if named_after else party.device,
    )

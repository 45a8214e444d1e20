"""What a PBX may be told to dial as a phone: one phone, by its technology and its name there."""

import re

_PHONE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_OUTSIDE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}/(\+?[0-9]{3,20})@[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_DIALPLAN = "local/"


def fault_of_phone(address: str) -> str:
    """Say what makes a text unfit to be a phone's address, such as `PJSIP/2001`; empty when it is fit.

    A PBX reads more than one phone, its own dialplan, a number behind a trunk, options or a variable out of
    what it is given to dial; each of these would ring somebody else than the configuration's reader thinks.
    """
    if address.lower().startswith(_DIALPLAN):
        return "is a way through the dialplan, not a phone"
    if _PHONE.fullmatch(address):
        return ""
    if "&" in address:
        return "is more than one phone"
    if "@" in address or address.count("/") > 1:
        return "is a number behind a trunk, not a phone"
    return "is not a technology, a slash, and a name of letters, digits and _ . -"


def outside_number(address: str) -> str | None:
    """The number in an address behind a trunk, such as `PJSIP/+33612345678@trunk`, or none."""
    found = _OUTSIDE.fullmatch(address)
    return found[1] if found else None

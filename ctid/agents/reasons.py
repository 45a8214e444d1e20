"""What may stand as the reason of a pause. Pure."""

LONGEST_BYTES = 79
"""Of a reason in UTF-8. A PBX that keeps 80 bytes for it, the last of them a zero (Asterisk's
`reason_paused`), would cut a longer one, perhaps within a character, and what it tells would not be
what was asked for."""


def fault_of(reason: str) -> str:
    """Say what makes a text unfit to be a reason; empty when it is fit.

    A `|` would shift the fields of a PBX's queue log, and a line break end the line of its protocol.
    """
    if not reason.isprintable():
        return "has a line break or another character that does not print"
    if "|" in reason:
        return "has a |, which separates the fields of the PBX's queue log"
    if reason != reason.strip():
        return "begins or ends with a blank"
    if len(reason.encode()) > LONGEST_BYTES:
        return f"is longer than {LONGEST_BYTES} bytes"
    return ""

"""Calls that are neither recorded nor listened to, by the agent's word or the customer's. Pure."""

from ctid.model.entities import Call
from ctid.model.errors import CallRefused


def is_protected(call: Call) -> bool:
    """Whether a call is private, or the customer objects."""
    return call.private or call.objected


def check_unprotected(call: Call) -> None:
    """See that a call may be recorded and listened to. Raises CallRefused: `private`, or `objected`."""
    if call.private:
        raise CallRefused("private", "the call is private: it is not recorded, nor listened to")
    if call.objected:
        raise CallRefused("objected", "the customer objects: the call is not recorded, nor listened to")

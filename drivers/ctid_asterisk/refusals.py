"""Why a step of a supervision failed, in the words that a client knows."""

from ctid.model.commands import StartSupervision
from ctid.model.errors import PbxRefused, PbxTimeout, PbxUnavailable, SupervisionRefused
from ctid.model.words import SupervisionEnd
from ctid_asterisk.ari import AriError, AriLost
from ctid_asterisk.wire import EncodeError

_NO_ANSWER: dict[int, tuple[str, str]] = {
    17: ("phone_busy", "is busy"),
    20: ("phone_unreachable", "is not registered at the PBX"),
    21: ("phone_no_answer", "declined the call"),
}
"""Q.850 cause of a phone that was rung for nothing; the others: it did not answer."""


class Ended(Exception):
    """A channel ended instead of entering the application."""

    def __init__(self, channel: str, cause: int) -> None:
        super().__init__(f"{channel} ended with cause {cause}")
        self.channel = channel
        self.cause = cause


class told_as_ctid_errors:  # noqa: N801 - reads as a statement
    """Within it, ARI's failures become those that a client knows."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, AriLost):
            raise PbxUnavailable(f"the PBX does not answer ({error}); try again when it is back") from error
        if isinstance(error, AriError):
            raise PbxRefused(f"the PBX refused a step of it: {error}") from error
        if isinstance(error, EncodeError):
            raise PbxRefused(f"a step of it was not asked of the PBX: {error}") from error
        if isinstance(error, TimeoutError):
            raise PbxTimeout("the PBX did not carry out a step of it in time") from error
        if isinstance(error, Ended):
            raise SupervisionRefused("call_ended", "the call ended meanwhile") from error


def gone(why: SupervisionEnd | None) -> SupervisionRefused:
    """The refusal of a step in a session that cannot go on."""
    if why is SupervisionEnd.CALL_ENDED:
        return SupervisionRefused("call_ended", "the call has ended")
    if why is SupervisionEnd.SUPERVISOR_HUNG_UP:
        return SupervisionRefused("ended", "the supervisor has hung up")
    return SupervisionRefused("ended", "the session has ended")


def no_phone(command: StartSupervision, cause: int, told: str = "") -> SupervisionRefused:
    """The refusal of a start whose phone was not answered: by the Q.850 cause of its end."""
    code, what = _NO_ANSWER.get(cause, ("phone_no_answer", "did not answer"))
    phone = command.supervision.phone
    detail = f"the phone {phone!r} ({command.address}) {what}{f': {told}' if told else ''}"
    return SupervisionRefused(code, detail)

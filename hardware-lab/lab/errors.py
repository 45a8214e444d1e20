"""The lab's errors, each with the exit code that the command line ends with."""


class LabError(Exception):
    """The lab cannot do what was asked; the message names the cure. Exit code 1."""

    exit_code = 1


class RootError(LabError):
    """The root with Asterisk cannot be built here. Exit code 3."""

    exit_code = 3


class PortTakenError(LabError):
    """A port of the rig is in use by a program that is not the rig's. Exit code 4."""

    exit_code = 4


class StartError(LabError):
    """A program of the rig died or did not get ready; the message has the tail of its log. Exit code 5."""

    exit_code = 5


class PhoneError(LabError):
    """A phone refused a command, a call ended with a failure, or an awaited state did not come. Exit code 6.

    `code` is the SIP status of the call that failed, 0 where there is none.
    """

    exit_code = 6

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code

from ctid.model.facts import HelpAsked
from helpers.ami_words import Line, caller, message
from helpers.queue_call import served


def asked(line: Line) -> list[HelpAsked]:
    """Who has asked for help."""
    return [moment for moment in line.moments if isinstance(moment, HelpAsked)]


def test_a_code_that_is_dialled() -> None:
    """By the phone that dialled it, on a call of its own."""
    line = Line()
    code = caller("PJSIP/1001-00000009", "9.1", "*88")
    line.appears(code)
    line.hear(message("UserEvent", code.block(), UserEvent="CtidHelp"))
    (told,) = asked(line)
    assert (told.leg, told.device, told.source) == ("9.1", "1001", "UserEvent")


def test_a_code_that_is_pressed_in_a_call() -> None:
    """By the phone in whose call it was pressed."""
    line, _, agent = served()
    line.hear(message("UserEvent", agent.block(), UserEvent="CtidHelp"))
    assert [told.device for told in asked(line)] == ["1001"]


def test_a_channel_that_is_not_known() -> None:
    """Its name tells the phone all the same."""
    line = Line()
    line.hear(message("UserEvent", caller("PJSIP/1002-00000009", "9.1", "*88").block(), UserEvent="CtidHelp"))
    assert [(told.leg, told.device) for told in asked(line)] == [("9.1", "1002")]


def test_events_of_others() -> None:
    """Another name, and an event that a program sent without any channel, tell nothing."""
    line = Line()
    line.hear(message("UserEvent", caller("PJSIP/1001-1", "9.1", "*88").block(), UserEvent="Lights"))
    line.hear(message("UserEvent", UserEvent="CtidHelp"))
    assert asked(line) == []

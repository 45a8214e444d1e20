from collections.abc import Callable

import pytest

from ctid_asterisk import actions
from ctid_asterisk.actions import Action
from ctid_asterisk.wire import AmiError, ArgumentError, EncodeError, InjectionError

CHANNEL = "PJSIP/1001-0000001a"


def fields(action: Action) -> dict[str, str]:
    """The action's fields; none is repeated."""
    assert len(dict(action.fields)) == len(action.fields)
    return dict(action.fields)


def test_encode() -> None:
    """An action is sent with its name, then its ActionID, then its fields."""
    assert actions.ping().encode("ctid-1") == b"Action: Ping\r\nActionID: ctid-1\r\n\r\n"
    assert (
        actions.getvar("X").encode("ctid-2") == b"Action: Getvar\r\nActionID: ctid-2\r\nVariable: X\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("action", "name", "expected"),
    [
        (actions.challenge(), "Challenge", {"AuthType": "MD5"}),
        (actions.login_plain("u", "p"), "Login", {"Username": "u", "Secret": "p", "Events": "on"}),
        (
            actions.login_md5("u", "secret", "12345"),
            "Login",
            # echo -n 12345secret | md5sum
            {
                "AuthType": "MD5",
                "Username": "u",
                "Key": "d6bf7523a8407696bb9448d0d0fecca8",
                "Events": "on",
            },
        ),
        (actions.logoff(), "Logoff", {}),
        (actions.core_status(), "CoreStatus", {}),
        (actions.core_settings(), "CoreSettings", {}),
        (actions.events("call,agent"), "Events", {"EventMask": "call,agent"}),
        (
            actions.add_filter("action(exclude),name(X)", ""),
            "Filter",
            {"Operation": "Add", "MatchCriteria": "action(exclude),name(X)"},
        ),
        (actions.add_filter("", "!x"), "Filter", {"Operation": "Add", "Filter": "!x"}),
        (actions.user_event("Ctid"), "UserEvent", {"UserEvent": "Ctid"}),
        (actions.user_event("Ctid", {"K": "v"}), "UserEvent", {"UserEvent": "Ctid", "K": "v"}),
        (
            actions.queue_pause("PJSIP/1001", paused=True, queue="support", reason="déjeuner"),
            "QueuePause",
            {"Interface": "PJSIP/1001", "Paused": "true", "Queue": "support", "Reason": "déjeuner"},
        ),
        (
            actions.queue_pause("Local/1007@from-queue/n", paused=False),
            "QueuePause",
            {"Interface": "Local/1007@from-queue/n", "Paused": "false"},
        ),
        (
            actions.queue_add("support", "PJSIP/1001"),
            "QueueAdd",
            {"Queue": "support", "Interface": "PJSIP/1001", "Penalty": "0", "Paused": "false"},
        ),
        (
            actions.queue_add(
                "desk",
                "Local/1007@from-queue/n",
                member_name="Zoé D'Arc",
                state_interface="hint:1007@ext-local",
                penalty=2,
                paused=True,
            ),
            "QueueAdd",
            {
                "Queue": "desk",
                "Interface": "Local/1007@from-queue/n",
                "MemberName": "Zoé D'Arc",
                "StateInterface": "hint:1007@ext-local",
                "Penalty": "2",
                "Paused": "true",
            },
        ),
        (
            actions.queue_remove("support", "PJSIP/1001"),
            "QueueRemove",
            {"Queue": "support", "Interface": "PJSIP/1001"},
        ),
        (actions.setvar("X", "a b"), "Setvar", {"Variable": "X", "Value": "a b"}),
        (
            actions.setvar("__X", "", channel=CHANNEL),
            "Setvar",
            {"Channel": CHANNEL, "Variable": "__X"},
        ),
        (actions.getvar("X"), "Getvar", {"Variable": "X"}),
        (
            actions.getvar("CHANNEL(onhold)", channel="1795409488.18"),
            "Getvar",
            {"Channel": "1795409488.18", "Variable": "CHANNEL(onhold)"},
        ),
        (actions.fence("b1-7"), "Setvar", {"Variable": "CTIDFENCE", "Value": "b1-7"}),
        (actions.hangup(CHANNEL), "Hangup", {"Channel": CHANNEL, "Cause": "16"}),
        (
            actions.blind_transfer(CHANNEL, exten="takeover-7", context="ctid"),
            "BlindTransfer",
            {"Channel": CHANNEL, "Context": "ctid", "Exten": "takeover-7"},
        ),
        (
            actions.mute_audio(CHANNEL, direction="in", on=True),
            "MuteAudio",
            {"Channel": CHANNEL, "Direction": "in", "State": "on"},
        ),
        (
            actions.mute_audio(CHANNEL, direction="all", on=False),
            "MuteAudio",
            {"Channel": CHANNEL, "Direction": "all", "State": "off"},
        ),
    ],
)
def test_plain_actions(action: Action, name: str, expected: dict[str, str]) -> None:
    """Each builder gives the action's name and its fields, without those that are empty."""
    assert action.name == name
    assert fields(action) == expected
    assert not action.is_list
    assert action.deadline_s == 5.0


@pytest.mark.parametrize(
    ("action", "name", "expected"),
    [
        (actions.core_show_channels(), "CoreShowChannels", {}),
        (actions.status(), "Status", {}),
        (
            actions.status(CHANNEL, ["CHANNEL(onhold)", "QUEUENAME"]),
            "Status",
            {"Channel": CHANNEL, "Variables": "CHANNEL(onhold),QUEUENAME"},
        ),
        (actions.bridge_list(), "BridgeList", {}),
        (actions.bridge_list("holding"), "BridgeList", {"BridgeType": "holding"}),
        (actions.bridge_info("c2a8-11"), "BridgeInfo", {"BridgeUniqueid": "c2a8-11"}),
        (actions.queue_status(), "QueueStatus", {}),
        (
            actions.queue_status("Service Client é", "PJSIP/1001"),
            "QueueStatus",
            {"Queue": "Service Client é", "Member": "PJSIP/1001"},
        ),
        (actions.device_state_list(), "DeviceStateList", {}),
        (actions.extension_state_list(), "ExtensionStateList", {}),
        (actions.pjsip_show_contacts(), "PJSIPShowContacts", {}),
    ],
)
def test_lists(action: Action, name: str, expected: dict[str, str]) -> None:
    """A list action says that it is one, and has a longer time."""
    assert action.name == name
    assert fields(action) == expected
    assert action.is_list
    assert action.deadline_s == 20.0


def test_originate_to_an_extension() -> None:
    """An originate is always asynchronous, bears our channel id, and each variable is a line of its own."""
    action = actions.originate_exten(
        "Local/1007@from-queue/n",
        exten="8000",
        context="internal",
        channel_id="ctid-7-phone-1795409488.1",
        other_channel_id="ctid-7-other",
        timeout_s=12.5,
        caller_name="Supervision",
        caller_number="+33123456789",
        variables={"CTID_SESSION": "abc+/=".rstrip("="), "__CTID": "1"},
        early_media=True,
    )
    assert action.fields == (
        ("Channel", "Local/1007@from-queue/n"),
        ("Context", "internal"),
        ("Exten", "8000"),
        ("Priority", "1"),
        ("Timeout", "12500"),
        ("CallerID", '"Supervision" <+33123456789>'),
        ("ChannelId", "ctid-7-phone-1795409488.1"),
        ("OtherChannelId", "ctid-7-other"),
        ("EarlyMedia", "true"),
        ("Async", "true"),
        ("Variable", "CTID_SESSION=abc+/"),
        ("Variable", "__CTID=1"),
    )


def test_originate_to_an_application() -> None:
    """What is not given is left to Asterisk, but for the ringing time."""
    action = actions.originate_application(
        "PJSIP/2001", application="ChanSpy", data="1795409488.18,quE", channel_id="ctid-1"
    )
    assert fields(action) == {
        "Channel": "PJSIP/2001",
        "Application": "ChanSpy",
        "Data": "1795409488.18,quE",
        "Timeout": "30000",
        "ChannelId": "ctid-1",
        "Async": "true",
    }


@pytest.mark.parametrize(
    "channel",
    [
        CHANNEL,
        "Local/1007@from-queue-00000003;2",
        "Snoop/1795409488.18-00000000",
        "PJSIP/trunk-12-000000ff",
        "1795409488.18",
        "pbx1-1795409488.18",
        "ctid-7-phone-1795409488.1",
    ],
)
def test_whole_channels(channel: str) -> None:
    """Full names, unique ids and ids of our own are channels."""
    assert fields(actions.hangup(channel))["Channel"] == channel


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "PJSIP",
        "PJSIP/",
        "PJSIP/100",
        "PJSIP/1001-",
        "PJSIP/trunk-12",
        "PJSIP/1001-0000001",
        "PJSIP/1001-0000001A",
        "/^PJSIP/1001-.*$/",
        "1795409488",
        "1795409488.",
        "ctid-",
        "PJSIP/1001-0000001a;3",
        "PJSIP/1001-0000001a|x",
    ],
)
def test_beginnings_of_channels(channel: str) -> None:
    """What may be the beginning of another channel's name, or an expression, is refused everywhere."""
    for build in (
        actions.hangup,
        lambda value: actions.blind_transfer(value, exten="1", context="c"),
        lambda value: actions.mute_audio(value, direction="in", on=True),
    ):
        with pytest.raises(ArgumentError, match="full name or unique id"):
            build(channel)


REFUSED: list[Callable[[], Action]] = [
    lambda: actions.queue_pause("1001", paused=True),
    lambda: actions.queue_pause("PJSIP/" + "1" * 80, paused=True),
    lambda: actions.queue_pause("PJSIP/1001,x", paused=True),
    lambda: actions.queue_pause("PJSIP/1001", paused=True, reason="a|b"),
    lambda: actions.queue_pause("PJSIP/1001", paused=True, reason="a\tb"),
    lambda: actions.queue_pause("PJSIP/1001", paused=True, reason="a\x85b"),
    lambda: actions.queue_pause("PJSIP/1001", paused=True, reason="x" * 81),
    lambda: actions.queue_pause("PJSIP/1001", paused=True, queue=" support"),
    lambda: actions.queue_add("a,b", "PJSIP/1001"),
    lambda: actions.queue_add("support", "PJSIP/1001", penalty=-1),
    lambda: actions.queue_add("support", "PJSIP/1001", member_name="a,b"),
    lambda: actions.queue_add("support", "PJSIP/1001", state_interface="1001"),
    lambda: actions.queue_remove("", "PJSIP/1001"),
    lambda: actions.hangup(CHANNEL, cause=0),
    lambda: actions.hangup(CHANNEL, cause=128),
    lambda: actions.blind_transfer(CHANNEL, exten="1,2", context="c"),
    lambda: actions.blind_transfer(CHANNEL, exten="${X}", context="c"),
    lambda: actions.blind_transfer(CHANNEL, exten="1", context=""),
    lambda: actions.mute_audio(CHANNEL, direction="both", on=True),  # type: ignore[arg-type]  # that is the test
    lambda: actions.setvar("SHELL(id)", "x"),
    lambda: actions.setvar("CHANNEL(language)", "x"),
    lambda: actions.getvar("SHELL(id)"),
    lambda: actions.getvar("FILE(/etc/passwd)"),
    lambda: actions.getvar("CHANNEL(${SHELL(id)})"),
    lambda: actions.status("PJSIP/100"),
    lambda: actions.status(variables=["A,SHELL(id)"]),
    lambda: actions.fence("a b"),
    lambda: actions.events("all events"),
    lambda: actions.add_filter("name(A) method(b)", ""),
    lambda: actions.add_filter("", "x" * 501),
    lambda: actions.bridge_info(""),
    lambda: actions.bridge_list("a b"),
    lambda: actions.user_event("a b"),
    lambda: actions.user_event("a", {"ActionID": "1"}),
    lambda: actions.user_event("a", {"K": ""}),
    lambda: actions.user_event("a", {"a:b": "c"}),
    lambda: actions.login_plain("u\tv", "p"),
    lambda: actions.login_plain("u", "p" * 257),
    lambda: actions.originate_exten("PJSIP/1&PJSIP/2", exten="1", context="c", channel_id="ctid-1"),
    lambda: actions.originate_exten("PJSIP/1", exten="1", context="c", priority=0, channel_id="ctid-1"),
    lambda: actions.originate_exten("PJSIP/1", exten="1", context="c", channel_id="1795409488.18"),
    lambda: actions.originate_exten(
        "PJSIP/1", exten="1", context="c", channel_id="ctid-1", other_channel_id="x"
    ),
    lambda: actions.originate_exten("PJSIP/1", exten="1", context="c", channel_id="ctid-1", timeout_s=0),
    lambda: actions.originate_exten("PJSIP/1", exten="1", context="c", channel_id="ctid-1", timeout_s=601),
    lambda: actions.originate_exten(
        "PJSIP/1", exten="1", context="c", channel_id="ctid-1", caller_name='a" <1>'
    ),
    lambda: actions.originate_exten(
        "PJSIP/1", exten="1", context="c", channel_id="ctid-1", caller_number="<1>"
    ),
    lambda: actions.originate_exten(
        "PJSIP/1", exten="1", context="c", channel_id="ctid-1", variables={"A": "1,B=2"}
    ),
    lambda: actions.originate_exten(
        "PJSIP/1", exten="1", context="c", channel_id="ctid-1", variables={"A=1,B": "2"}
    ),
    lambda: actions.originate_application("PJSIP/1", application="System()", channel_id="ctid-1"),
    lambda: actions.originate_application(
        "PJSIP/1", application="Set", data="${SHELL(id)}", channel_id="ctid-1"
    ),
]


@pytest.mark.parametrize("build", REFUSED)
def test_refused_arguments(build: Callable[[], Action]) -> None:
    """An argument outside its character set or range is refused when the action is built."""
    with pytest.raises(ArgumentError, match="not a valid"):
        build()


INJECTED: list[Callable[[str], Action]] = [
    lambda bad: actions.login_plain(bad, "p"),
    lambda bad: actions.login_plain("u", bad),
    lambda bad: actions.login_md5(bad, "p", "1"),
    actions.hangup,
    lambda bad: actions.queue_pause(bad, paused=True),
    lambda bad: actions.queue_pause("PJSIP/1001", paused=True, queue=bad),
    lambda bad: actions.queue_pause("PJSIP/1001", paused=True, reason=bad),
    lambda bad: actions.queue_add("q", "PJSIP/1001", member_name=bad),
    lambda bad: actions.setvar("X", bad),
    lambda bad: actions.setvar(bad, "x"),
    actions.getvar,
    actions.fence,
    actions.events,
    actions.bridge_info,
    lambda bad: actions.add_filter("", bad),
    lambda bad: actions.add_filter(bad, ""),
    lambda bad: actions.user_event("E", {"K": bad}),
    lambda bad: actions.user_event("E", {bad: "v"}),
    lambda bad: actions.blind_transfer(CHANNEL, exten=bad, context="c"),
    lambda bad: actions.blind_transfer(CHANNEL, exten="1", context=bad),
    lambda bad: actions.originate_exten(bad, exten="1", context="c", channel_id="ctid-1"),
    lambda bad: actions.originate_exten("PJSIP/1", exten="1", context="c", channel_id=bad),
    lambda bad: actions.originate_exten(
        "PJSIP/1", exten="1", context="c", channel_id="ctid-1", caller_name=bad
    ),
    lambda bad: actions.originate_exten(
        "PJSIP/1", exten="1", context="c", channel_id="ctid-1", variables={"A": bad}
    ),
    lambda bad: actions.originate_application("PJSIP/1", application="X", data=bad, channel_id="ctid-1"),
]


@pytest.mark.parametrize("breaker", ["\r", "\n", "\0", "\r\n\r\nAction: Originate\r\n"])
@pytest.mark.parametrize("build", INJECTED)
def test_injection(build: Callable[[str], Action], breaker: str) -> None:
    """CR, LF and NUL are refused in every argument, at its end as well, when the action is built."""
    for bad in (f"a{breaker}", f"{breaker}a", f"PJSIP/1001-0000001a{breaker}"):
        with pytest.raises(InjectionError):
            build(bad)


def test_lines_that_grow_too_long() -> None:
    """Arguments that are each valid and together too long for a line are refused when the action is built."""
    with pytest.raises(EncodeError, match="Asterisk reads"):
        actions.setvar("X", "é" * 600)


def test_errors_are_of_one_tree() -> None:
    """Every error is an AmiError, and what the caller did wrong is a ValueError too."""
    assert issubclass(InjectionError, EncodeError)
    assert issubclass(ArgumentError, EncodeError)
    assert issubclass(EncodeError, AmiError)
    assert issubclass(EncodeError, ValueError)

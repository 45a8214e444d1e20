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
    sent = actions.fence("1").encode("ctid-2")
    assert sent == b"Action: Setvar\r\nActionID: ctid-2\r\nVariable: CTIDFENCE\r\nValue: 1\r\n\r\n"


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
        (actions.core_settings(), "CoreSettings", {}),
        (
            actions.add_filter("action(exclude),name(X)", ""),
            "Filter",
            {"Operation": "Add", "MatchCriteria": "action(exclude),name(X)"},
        ),
        (actions.add_filter("", "!x"), "Filter", {"Operation": "Add", "Filter": "!x"}),
        (actions.setvar("X", "a b"), "Setvar", {"Variable": "X", "Value": "a b"}),
        (
            actions.setvar("__X", "", channel=CHANNEL),
            "Setvar",
            {"Channel": CHANNEL, "Variable": "__X"},
        ),
        (actions.fence("b1-7"), "Setvar", {"Variable": "CTIDFENCE", "Value": "b1-7"}),
        (actions.hangup(CHANNEL), "Hangup", {"Channel": CHANNEL, "Cause": "16"}),
        (actions.list_commands(), "ListCommands", {}),
        (
            actions.redirect(CHANNEL, exten="1002", context="x"),
            "Redirect",
            {"Channel": CHANNEL, "Context": "x", "Exten": "1002", "Priority": "1"},
        ),
        (
            actions.dialplan_exists(exten="*45", context="x", channel=CHANNEL),
            "Getvar",
            {"Channel": CHANNEL, "Variable": "DIALPLAN_EXISTS(x,*45,1)"},
        ),
        (
            actions.queue_change_priority("support", CHANNEL, 3),
            "QueueChangePriorityCaller",
            {"Queue": "support", "Caller": CHANNEL, "Priority": "3", "Immediate": "yes"},
        ),
        (actions.mix_monitor(CHANNEL, "/a/b.wav"), "MixMonitor", {"Channel": CHANNEL, "File": "/a/b.wav"}),
        (actions.stop_mix_monitor(CHANNEL), "StopMixMonitor", {"Channel": CHANNEL}),
        (
            actions.mix_monitor_mute(CHANNEL, muted=True),
            "MixMonitorMute",
            {"Channel": CHANNEL, "Direction": "both", "State": "1"},
        ),
        (
            actions.message_send("1001", "hé", "Anna B."),
            "MessageSend",
            {"To": "pjsip:1001", "From": '"Anna B." <sip:ctid@localhost>', "Base64Body": "aMOp"},
        ),
        (
            actions.receive_key(CHANNEL, "5"),
            "PlayDTMF",
            {"Channel": CHANNEL, "Digit": "5", "Receive": "true"},
        ),
        (
            actions.mute(CHANNEL, on=True),
            "MuteAudio",
            {"Channel": CHANNEL, "Direction": "in", "State": "on"},
        ),
        (
            actions.mute(CHANNEL, on=False),
            "MuteAudio",
            {"Channel": CHANNEL, "Direction": "in", "State": "off"},
        ),
        (
            actions.getvar(CHANNEL, "CHANNEL(rtcp,rxcount)"),
            "Getvar",
            {"Channel": CHANNEL, "Variable": "CHANNEL(rtcp,rxcount)"},
        ),
        (
            actions.originate(
                "PJSIP/2001", context="ctid", exten="s1", channel_id="ctid-x.s1-phone-1.2", ring_s=20.4
            ),
            "Originate",
            {
                "Channel": "PJSIP/2001",
                "Context": "ctid",
                "Exten": "s1",
                "Priority": "1",
                "Timeout": "20000",
                "ChannelId": "ctid-x.s1-phone-1.2",
                "Async": "true",
            },
        ),
        (
            actions.blind_transfer(CHANNEL, exten="takeover-7", context="ctid"),
            "BlindTransfer",
            {"Channel": CHANNEL, "Context": "ctid", "Exten": "takeover-7"},
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
        (actions.queue_status(), "QueueStatus", {}),
        (
            actions.queue_status("Service Client é", "PJSIP/1001"),
            "QueueStatus",
            {"Queue": "Service Client é", "Member": "PJSIP/1001"},
        ),
        (actions.device_state_list(), "DeviceStateList", {}),
    ],
)
def test_lists(action: Action, name: str, expected: dict[str, str]) -> None:
    """A list action says that it is one, and has a longer time."""
    assert action.name == name
    assert fields(action) == expected
    assert action.is_list
    assert action.deadline_s == 20.0


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
    ):
        with pytest.raises(ArgumentError, match="full name or unique id"):
            build(channel)


REFUSED: list[Callable[[], Action]] = [
    lambda: actions.hangup(CHANNEL, cause=0),
    lambda: actions.hangup(CHANNEL, cause=128),
    lambda: actions.blind_transfer(CHANNEL, exten="1,2", context="c"),
    lambda: actions.blind_transfer(CHANNEL, exten="${X}", context="c"),
    lambda: actions.blind_transfer(CHANNEL, exten="1", context=""),
    lambda: actions.setvar("SHELL(id)", "x"),
    lambda: actions.setvar("CHANNEL(language)", "x"),
    lambda: actions.status("PJSIP/100"),
    lambda: actions.status(variables=["A,SHELL(id)"]),
    lambda: actions.fence("a b"),
    lambda: actions.add_filter("name(A) method(b)", ""),
    lambda: actions.add_filter("", "x" * 501),
    lambda: actions.login_plain("u\tv", "p"),
    lambda: actions.login_plain("u", "p" * 257),
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
    lambda bad: actions.setvar("X", bad),
    lambda bad: actions.setvar(bad, "x"),
    actions.fence,
    lambda bad: actions.add_filter("", bad),
    lambda bad: actions.add_filter(bad, ""),
    lambda bad: actions.blind_transfer(CHANNEL, exten=bad, context="c"),
    lambda bad: actions.blind_transfer(CHANNEL, exten="1", context=bad),
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


def test_members_are_added_paused_and_removed() -> None:
    """By Asterisk's own words; what is empty is not said."""
    added = actions.queue_add(
        "support", "PJSIP/1001", name="O'Brien", state_interface="hint:1001@ext-local", paused=True
    )
    assert dict(added.fields) == {
        "Queue": "support",
        "Interface": "PJSIP/1001",
        "MemberName": "O'Brien",
        "StateInterface": "hint:1001@ext-local",
        "Penalty": "0",
        "Paused": "true",
    }
    assert dict(actions.queue_remove("support", "Local/1@q/n").fields)["Interface"] == "Local/1@q/n"
    assert "Reason" not in dict(actions.queue_pause("support", "PJSIP/1001", paused=False).fields)
    assert dict(actions.queue_pause("support", "PJSIP/1001", paused=True, reason="x" * 79).fields)["Reason"]


@pytest.mark.parametrize("reason", ["a|b", "a\r\nb", "a\x07", "x" * 80, "é" * 40])
def test_a_reason_that_would_not_come_back_as_it_was(reason: str) -> None:
    """Asterisk cuts at 79 bytes, and its queue log at each bar."""
    with pytest.raises(EncodeError):
        actions.queue_pause("support", "PJSIP/1001", paused=True, reason=reason)


@pytest.mark.parametrize("penalty", [-1, 1_000_001])
def test_a_penalty_that_is_none(penalty: int) -> None:
    """Out of range."""
    with pytest.raises(EncodeError):
        actions.queue_add("support", "PJSIP/1001", penalty=penalty)


@pytest.mark.parametrize("interface", ["1001", "PJSIP/1001&PJSIP/1002", "PJSIP/1001\r\nAction: x", ""])
def test_an_interface_that_is_none(interface: str) -> None:
    """One device, by its technology."""
    with pytest.raises(EncodeError):
        actions.queue_add("support", interface)


@pytest.mark.parametrize(
    "address", ["PJSIP/2001&PJSIP/0033612345678", "Local/1@x", "SIP/t/06", "PJSIP/1,2", "PJSIP/${X}", ""]
)
def test_what_is_not_one_phone(address: str) -> None:
    """Only the address of one phone may be rung."""
    with pytest.raises(ArgumentError):
        actions.phone(address)


def test_a_phone_does_not_break_a_line() -> None:
    """A line break in a phone's address is told as the injection that it is."""
    for breaker in "\r\n\0":
        with pytest.raises(InjectionError):
            actions.phone(f"PJSIP/2001{breaker}Action: Originate")
    assert actions.phone("PJSIP/2001") == "PJSIP/2001"


@pytest.mark.parametrize(
    "build",
    [
        lambda: actions.redirect(CHANNEL, exten="1,2", context="x"),
        lambda: actions.redirect("PJSIP/1001", exten="1", context="x"),
        lambda: actions.dialplan_exists(exten="1)", context="x", channel=CHANNEL),
        lambda: actions.dialplan_exists(exten="1", context="x,y", channel=CHANNEL),
        lambda: actions.queue_change_priority("q", "1.1", 3),
        lambda: actions.queue_change_priority("q", CHANNEL, -1),
        lambda: actions.mix_monitor(CHANNEL, "a.wav,b"),
        lambda: actions.mix_monitor(CHANNEL, "../a.wav"),
        lambda: actions.mix_monitor(CHANNEL, "/a//b.wav"),
        lambda: actions.mix_monitor(CHANNEL, "a|reboot.wav"),
        lambda: actions.mix_monitor(CHANNEL, "a"),
        lambda: actions.message_send("1001", "", "x"),
        lambda: actions.message_send("1001", "a\nb", "x"),
        lambda: actions.message_send("1001", "x" * 501, "x"),
        lambda: actions.message_send("1001", "\N{EURO SIGN}" * 400, "x"),
        lambda: actions.message_send("1001@x", "x", "x"),
        lambda: actions.message_send("1001", "x", 'x" <sip:y>'),
        lambda: actions.dial_place("Local/1@x", "1", "x"),
        lambda: actions.dial_place("PJSIP/1", "1&2", "x"),
        lambda: actions.dial_place("PJSIP/1", "1", "x y"),
    ],
)
def test_acts_on_calls_say_one_thing(build: Callable[[], object]) -> None:
    """No list, no path that climbs, no option, no second line: whatever is more than it says is refused."""
    with pytest.raises(EncodeError):
        build()


def test_originate_with_variables() -> None:
    """Each variable is a line of its own; the halves of a Local channel get their ids."""
    action = actions.originate(
        "Local/tone@ctid-supervise/n",
        context="ctid-supervise",
        exten="whisper",
        channel_id="ctid-x.notice-tone-1.2",
        other_channel_id="ctid-x.notice-tone-1.3",
        ring_s=0.2,
        caller='"Supervision" <ctid>',
        variables={"CTID_TARGET": "1795000000.1", "CTID_JOIN": "Local/1007@from-queue-00000001;2"},
    )
    lines = [value for key, value in action.fields if key == "Variable"]
    assert lines == ["CTID_TARGET=1795000000.1", "CTID_JOIN=Local/1007@from-queue-00000001;2"]
    sent = dict(action.fields)
    assert (sent["Timeout"], sent["OtherChannelId"]) == ("1000", "ctid-x.notice-tone-1.3")
    assert sent["CallerID"] == '"Supervision" <ctid>'


@pytest.mark.parametrize("value", ["a,b=c", 'a"b', "a\\b", "a\r\nAction: x", "a b", "${EXEC}", "x" * 901])
def test_values_of_originate(value: str) -> None:
    """A value that Asterisk's reader of arguments would read otherwise is refused, and so is a line break."""
    with pytest.raises((ArgumentError, InjectionError)):
        actions.originate(
            "PJSIP/2001",
            context="c",
            exten="s1",
            channel_id="ctid-x.s1-phone-1.2",
            ring_s=1.0,
            variables={"CTID_TARGET": value},
        )


@pytest.mark.parametrize("address", ["PJSIP/2001&PJSIP/2002", "PJSIP/2001,20", "2001", "PJSIP/2001\r\nX: y"])
def test_addresses_of_originate(address: str) -> None:
    """One phone or one way through the dialplan, and nothing after it."""
    with pytest.raises((ArgumentError, InjectionError)):
        actions.originate(address, context="c", exten="s", channel_id="ctid-x.s1-phone-1.2", ring_s=1.0)


@pytest.mark.parametrize("key", ["", "55", "x", "\r"])
def test_keys(key: str) -> None:
    """A key is one of a phone's sixteen."""
    with pytest.raises((ArgumentError, InjectionError)):
        actions.receive_key(CHANNEL, key)

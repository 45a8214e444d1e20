import pytest

from ctid_asterisk.wire import (
    MAX_HEADERS,
    MAX_LINE_BYTES,
    AmiReader,
    Banner,
    EncodeError,
    InjectionError,
    Kind,
    Message,
    WireError,
    clean,
    encode,
)

GREETING = b"Asterisk Call Manager/11.0.0\r\n"


def block(*lines: str) -> bytes:
    """One message in the usual form."""
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("utf-8", "surrogateescape")


def reader(
    wanted: frozenset[str] | None = None,
    variables: frozenset[str] | None = None,
    max_message_bytes: int = 4096,
) -> AmiReader:
    """A reader that has been greeted."""
    made = AmiReader(wanted=wanted, variables=variables, max_message_bytes=max_message_bytes)
    assert made.feed(GREETING) == [Banner("Asterisk Call Manager/11.0.0", "11.0.0")]
    return made


def only(messages: list[Banner | Message]) -> Message:
    """The one message there is."""
    (message,) = messages
    assert isinstance(message, Message)
    return message


def names(messages: list[Banner | Message]) -> list[str]:
    """The names of the messages, in order."""
    return [message.name for message in messages if isinstance(message, Message)]


class TestBanner:
    """The greeting."""

    def test_arrives_byte_by_byte(self) -> None:
        """The banner is told once, when its line is whole, and what follows it is framed."""
        ami = AmiReader()
        told = [out for byte in GREETING + block("Event: A") for out in ami.feed(bytes([byte]))]
        assert told == [Banner("Asterisk Call Manager/11.0.0", "11.0.0"), Message.build(("Event", "A"))]

    @pytest.mark.parametrize(
        "greeting",
        [b"SSH-2.0-OpenSSH_9.2\r\n", b"Asterisk Call Manager\r\n", b"\n", b"x" * 256, b"\xff\x00\n"],
    )
    def test_anything_else_kills_the_reader(self, greeting: bytes) -> None:
        """A peer that does not greet as AMI is refused, and the reader stays dead."""
        ami = AmiReader()
        with pytest.raises(WireError, match="no AMI banner"):
            ami.feed(greeting)
        with pytest.raises(WireError, match="no AMI banner"):
            ami.feed(GREETING)

    def test_an_endless_line_is_bounded(self) -> None:
        """A first line that never ends is refused after 256 bytes."""
        ami = AmiReader()
        assert ami.feed(b"Asterisk Call Manager/" + b"1" * 233) == []
        with pytest.raises(WireError):
            ami.feed(b"1")


class TestFraming:
    """Lines, empty lines and kinds of blocks."""

    def test_crlf_bare_lf_and_many_empty_lines(self) -> None:
        """Lines may end in LF, and one or several empty lines of either kind end a message."""
        data = (
            b"Event: Agents\r\nCallStarted: 17\nActionID: a\r\n\r\n"
            b"Event: B\nKey: b\n\n"
            b"Response: Error\r\nMessage: No Contacts found\n\r\n\r\n"
            b"\r\n\n\r\n"
            b"Event: D\r\n\n"
            b"Event: E\r\n\r\n"
        )
        expected = [
            Message.build(("Event", "Agents"), ("CallStarted", "17"), ("ActionID", "a")),
            Message.build(("Event", "B"), ("Key", "b")),
            Message.build(("Response", "Error"), ("Message", "No Contacts found")),
            Message.build(("Event", "D")),
            Message.build(("Event", "E")),
        ]
        assert reader().feed(data) == expected
        whole = reader()
        assert [out for byte in data for out in whole.feed(bytes([byte]))] == expected

    def test_first_key_decides(self) -> None:
        """An event may have a Response field and a response an Event field: the first key decides."""
        ami = reader()
        event = only(ami.feed(block("Event: OriginateResponse", "Response: Failure")))
        response = only(ami.feed(block("Response: Success", "Event: X")))
        assert (event.kind, event.name) == (Kind.EVENT, "OriginateResponse")
        assert (response.kind, response.name) == (Kind.RESPONSE, "Success")

    @pytest.mark.parametrize("line", ["event: Hangup", "EVENT:Hangup", "Event:Hangup"])
    def test_first_key_in_any_spelling(self, line: str) -> None:
        """The first key is known in any case of letters, with or without a blank after it."""
        message = only(reader().feed(block(line, "Uniqueid: 1.2")))
        assert (message.kind, message.name, message.get("uniqueid")) == (Kind.EVENT, "Hangup", "1.2")

    def test_event_of_one_bare_line(self) -> None:
        """An event without any field keeps its whole name, whatever ends the line."""
        assert names(reader(frozenset({"Foo"})).feed(b"Event: Foo\n\nEvent: Foo\r\n\r\n")) == ["Foo", "Foo"]

    def test_neither_event_nor_response_is_counted(self) -> None:
        """A block of another form is dropped and counted, and the next message is read."""
        ami = reader()
        assert names(ami.feed(b"Hello: you\r\n\r\nno colon\r\n\r\n" + block("Event: A"))) == ["A"]
        assert ami.malformed == 2

    def test_cut_at_eof(self) -> None:
        """A message without its empty line is never delivered, and eof says that one was cut."""
        ami = reader()
        assert not ami.eof()
        assert names(ami.feed(block("Event: A") + b"Event: Hangup\r\nUniqueid: 1795409488.1\r\n")) == ["A"]
        assert ami.eof()

    def test_empty_lines_at_eof_cut_nothing(self) -> None:
        """Empty lines after the last message are not a cut one."""
        ami = reader()
        ami.feed(block("Event: A") + b"\r\n\r")
        assert not ami.eof()


class TestBounds:
    """What a hostile or broken peer can cost."""

    @pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
    @pytest.mark.parametrize("step", [1, 7, 10_000])
    def test_a_message_of_the_limit_passes_and_one_byte_more_kills(self, line_end: bytes, step: int) -> None:
        """The bound is exact, whatever ends the lines and however the bytes are cut."""
        for size, dies in ((64, False), (65, True)):
            message = b"Event: A" + line_end + b"K: "
            message += b"v" * (size - len(message)) + line_end * 2
            ami = reader(max_message_bytes=64)
            pieces = [message[at : at + step] for at in range(0, len(message), step)]
            if dies:
                with pytest.raises(WireError, match="more than 64 bytes"):
                    [ami.feed(piece) for piece in pieces]
                with pytest.raises(WireError, match="more than 64 bytes"):
                    ami.feed(b"")
            else:
                assert names([out for piece in pieces for out in ami.feed(piece)]) == ["A"]

    def test_a_small_message_after_a_full_buffer_passes(self) -> None:
        """The bound holds for each message, not for what one feed brings."""
        data = block("Event: A", "K: " + "v" * 40) * 10
        assert len(reader(max_message_bytes=64).feed(data)) == 10

    def test_endless_empty_lines_use_no_memory(self) -> None:
        """Empty lines between messages are not kept."""
        ami = reader(max_message_bytes=64)
        for _ in range(100):
            assert ami.feed(b"\r\r\n\r" * 50) == []
        assert len(ami._tail) < 64
        assert names(ami.feed(b"\n" + block("Event: A"))) == ["A"]

    def test_a_megabyte_of_output_in_small_pieces(self) -> None:
        """A long command output is read whole from small pieces, each line kept."""
        data = block("Response: Success", *(f"Output: line {number}" for number in range(60_000)))
        ami = reader(max_message_bytes=2_000_000)
        told = [out for at in range(0, len(data), 1000) for out in ami.feed(data[at : at + 1000])]
        output = only(told).all("output")
        assert len(output) == 60_000
        assert output[-1] == "line 59999"

    def test_learnt_names_are_bounded(self) -> None:
        """A peer that makes up names of events without end does not fill the memory."""
        ami = reader(frozenset({"A"}))
        ami.feed(b"".join(block(f"Event: N{number}", "K: v") for number in range(3000)))
        assert ami.skipped == 3000
        assert len(ami._verdicts) <= 1024
        assert names(ami.feed(block("Event: A", "K: v"))) == ["A"]


class TestSkipping:
    """Which events are delivered."""

    def test_unwanted_events_are_counted_and_not_parsed(self) -> None:
        """Only wanted events are delivered; the others are counted."""
        ami = reader(frozenset({"Hangup"}))
        data = block("Event: Newexten", "K: v") + block("Event: Hangup", "K: v") + block("event: RTCPSent")
        assert names(ami.feed(data)) == ["Hangup"]
        assert ami.skipped == 2

    def test_responses_and_list_items_are_never_skipped(self) -> None:
        """What answers an action is delivered although no name of it is wanted."""
        ami = reader(frozenset({"Hangup"}), frozenset())
        data = (
            block("Response: Success", "ActionID: 1", "EventList: start")
            + block("Event: QueueMember", "Queue: support", "ActionID: 1")
            + block("Event: CoreShowChannel", "ActionID: 1", "Channel: PJSIP/1")
            + block("event: VarSet", "ActionID: 1")
            + block("Event: Newexten", "AppData: ActionID: 1")
        )
        told = ami.feed(data)
        assert names(told) == ["Success", "QueueMember", "CoreShowChannel", "VarSet"]
        assert all(isinstance(message, Message) and message.tagged for message in told)
        assert ami.skipped == 1

    def test_variables_choose_among_varsets(self) -> None:
        """Of VarSet only the chosen variables are delivered, by their whole name, in one feed or alone."""
        ami = reader(frozenset({"VarSet", "A"}), frozenset({"CTIDFENCE"}))
        fence = block("Event: VarSet", "Channel: none", "Variable: CTIDFENCE", "Value: 1")
        others = (
            block("Event: VarSet", "Variable: CTIDFENCE2", "Value: 1")
            + block("Event: VarSet", "Variable: X", "Value: Variable: CTIDFENCE")
            + block("Event: VarSet", "Value: no variable")
        )
        assert names(ami.feed(others + fence + block("Event: A", "K: v"))) == ["VarSet", "A"]
        assert ami.skipped == 3
        assert names(ami.feed(others)) == []
        assert names(ami.feed(fence)) == ["VarSet"]

    def test_every_event_but_only_some_variables(self) -> None:
        """Without a choice of events, a choice of variables still holds for VarSet."""
        ami = reader(None, frozenset({"CTIDFENCE"}))
        data = block("Event: VarSet", "Variable: X") + block("Event: Any", "K: v") + block("Event: ", "K: v")
        assert names(ami.feed(data)) == ["Any", ""]
        assert ami.skipped == 1

    def test_all_variables(self) -> None:
        """Without a choice of variables, a wanted VarSet is delivered like any event."""
        ami = reader(frozenset({"VarSet"}))
        assert (
            names(ami.feed(block("Event: VarSet", "Variable: X") + block("event: VarSet"))) == ["VarSet"] * 2
        )


class TestMessage:
    """What a message tells."""

    def test_any_case_first_wins_all_kept(self) -> None:
        """A field is found in any case; of a repeated key get gives the first and all gives each in order."""
        message = only(
            reader().feed(block("Event: A", "ChanVariable: x=1", "chanvariable: y=2", "ChanVariable: z=3"))
        )
        assert message.get("CHANVARIABLE") == message.fields["chanvariable"] == "x=1"
        assert message.all("ChanVariable") == ["x=1", "y=2", "z=3"]
        assert message.get("Missing") == ""
        lf = only(reader().feed(b"Event: Agents\r\nCallStarted: 17\nActionID: a\r\n\r\n"))
        assert lf.fields == {"event": "Agents", "callstarted": "17", "actionid": "a"}
        assert message.get("Missing", "none") == "none"

    def test_values_keep_blanks_colons_and_emptiness(self) -> None:
        """One blank separates key and value; everything after it is the value's own."""
        message = only(
            reader().feed(block("Event: A", "Value:   a: b ", "Empty: ", "Bare:", "Tight:x", "junk"))
        )
        assert message.pairs == [
            ("Event", "A"),
            ("Value", "  a: b "),
            ("Empty", ""),
            ("Bare", ""),
            ("Tight", "x"),
        ]
        assert message.fields == {"event": "A", "value": "  a: b ", "empty": "", "bare": "", "tight": "x"}

    def test_latin_1_bytes_survive(self) -> None:
        """Bytes that are not UTF-8 are kept, give themselves back, and can be cleaned for display."""
        name = only(reader().feed(b"Event: A\r\nCallerIDName: Ren\xe9 \xc3\xa9\r\n\r\n")).get("CallerIDName")
        assert name.encode("utf-8", "surrogateescape") == b"Ren\xe9 \xc3\xa9"
        assert clean(name) == "Ren\N{REPLACEMENT CHARACTER} é"

    def test_action_id(self) -> None:
        """The ActionID is told at either end of a message, and is empty where there is none."""
        first = only(reader().feed(block("Event: A", "ActionID: x-1", "K: v")))
        last = only(reader().feed(block("Response: Success", "K: v", "ActionID: x-2")))
        odd = only(reader().feed(block("Event: A", "ActionID:a: b")))
        none = only(reader().feed(block("Event: A", "K: v")))
        assert [message.action_id for message in (first, last, odd, none)] == ["x-1", "x-2", "", ""]
        assert [message.tagged for message in (first, last, odd, none)] == [True, True, True, False]

    def test_equality_is_of_content(self) -> None:
        """Messages are equal, and hash alike, when kind, name and lines are, whatever ended the lines."""
        crlf, lf = reader().feed(b"Event: A\r\nK: v\r\n\r\nEvent: A\nK: v\n\n")
        assert crlf == lf
        assert hash(crlf) == hash(lf)
        assert crlf != Message.build(("Event", "A"), ("K", "w"))
        assert (crlf != lf) is False
        assert (crlf == "Event: A") is False

    def test_remembered_spellings_are_bounded(self) -> None:
        """Keys that hold a channel's name do not fill the memory, and are still found."""
        ami = reader()
        for number in range(5000):
            message = only(ami.feed(block("Event: A", f"ChanVariable(PJSIP/1-{number:08x}): v")))
            assert message.get(f"chanvariable(pjsip/1-{number:08x})") == "v"


class TestEncode:
    """What may be sent."""

    def test_order_and_form(self) -> None:
        """Fields become CR LF lines in their order, repeated ones kept, ended by an empty line."""
        fields = [("Action", "Originate"), ("Variable", "A=1"), ("Variable", "B=é"), ("Empty", "")]
        expected = "Action: Originate\r\nVariable: A=1\r\nVariable: B=é\r\nEmpty: \r\n\r\n"
        assert encode(fields) == expected.encode()

    @pytest.mark.parametrize("breaker", ["\r", "\n", "\0", "\r\n\r\nAction: Logoff"])
    def test_injection_is_refused(self, breaker: str) -> None:
        """CR, LF and NUL are refused in a value and in a key."""
        with pytest.raises(InjectionError, match="'Channel'"):
            encode([("Action", "Hangup"), ("Channel", f"a{breaker}b")])
        with pytest.raises(InjectionError):
            encode([(f"Action{breaker}", "Hangup")])

    @pytest.mark.parametrize("key", ["", "a:b", "a b", "a\t", "é", " a"])
    def test_a_key_is_printable_ascii_without_colon_or_blank(self, key: str) -> None:
        """A key that Asterisk would read otherwise is refused."""
        with pytest.raises(EncodeError, match="not a header"):
            encode([(key, "v")])

    def test_the_longest_line(self) -> None:
        """The longest line that Asterisk's buffer takes passes; one more byte of UTF-8 is refused."""
        assert len(encode([("K", "v" * (MAX_LINE_BYTES - 3))])) == MAX_LINE_BYTES + 4
        with pytest.raises(EncodeError, match="1023 bytes"):
            encode([("K", "v" * (MAX_LINE_BYTES - 4) + "é")])

    def test_the_most_headers(self) -> None:
        """Asterisk takes 128 headers; none at all, or one more, is refused."""
        assert encode([("K", "v")] * MAX_HEADERS).count(b"\r\n") == MAX_HEADERS + 1
        with pytest.raises(EncodeError, match="129 headers"):
            encode([("K", "v")] * (MAX_HEADERS + 1))
        with pytest.raises(EncodeError, match="0 headers"):
            encode([])

    def test_text_that_is_not_unicode(self) -> None:
        """Bytes kept by surrogateescape go out as they came; other surrogates are refused."""
        assert encode([("K", "\udce9")]) == b"K: \xe9\r\n\r\n"
        with pytest.raises(EncodeError, match="not Unicode"):
            encode([("K", "\ud800")])

"""Conversations written as they run: `play >> what comes << what is told`, time in seconds."""

import hashlib
import re
from collections.abc import Iterator
from typing import ClassVar, TypedDict, Unpack

import pytest

from ctid_asterisk import actions
from ctid_asterisk.actions import Action
from ctid_asterisk.session import (
    AmiSession,
    Credentials,
    Dead,
    Fact,
    Failed,
    Out,
    Ready,
    Reply,
    Send,
    Timing,
    fence_token,
)
from ctid_asterisk.wire import EncodeError, Message, NotReadyError

EOF = object()
GREETING = b"Asterisk Call Manager/11.0.0\r\n"
PLAIN = Credentials("ctid", "s3cret", plain=True)
PING = b"Action: Ping\r\nActionID: ctid-ping\r\n\r\n"
ACCEPTED = "Response: Success|ActionID: ctid-1|Message: Authentication accepted"
BOOTED = "Event: FullyBooted|Privilege: system,all|Status: Fully Booted"


def wire(*messages: str) -> bytes:
    """Messages as the peer sends them; `|` stands between lines."""
    return "".join(f"{message}||".replace("|", "\r\n") for message in messages).encode()


def message(text: str) -> Message:
    """The same message as the session tells it."""
    return Message.build(
        *[(key, value) for key, _, value in [line.partition(": ") for line in text.split("|")]]
    )


class Playbook:
    """A session and a clock. `>>` bytes, seconds to wait, an action, or EOF; `<<` the next thing told."""

    opened: ClassVar[list["Playbook"]] = []

    def __init__(self, session: AmiSession) -> None:
        self.opened.append(self)
        self.session = session
        self.now = 100.0
        self.told: list[Out] = session.start(self.now)
        self.ids: list[str] = []

    def __rshift__(self, step: object) -> "Playbook":
        assert self.told == [], "told and not expected"
        if isinstance(step, bytes):
            self.told = self.session.receive(step, self.now)
        elif isinstance(step, float):
            self.now += step
            self.told = self.session.on_time(self.now)
        elif isinstance(step, Action):
            action_id, self.told = self.session.send(step, self.now)
            self.ids.append(action_id)
        else:
            assert step is EOF
            self.told = self.session.eof(self.now)
        return self

    def __lshift__(self, expected: object) -> "Playbook":
        assert self.told, f"nothing told, expected {expected}"
        told = self.told.pop(0)
        if isinstance(expected, Action):
            name = re.compile(rb"ActionID: (\S+)\r\n")
            assert isinstance(told, Send)
            action_id = name.search(told.data)
            assert action_id is not None
            assert told.data == expected.encode(action_id[1].decode())
        elif isinstance(expected, bytes):
            assert told == Send(expected)
        elif isinstance(expected, str):
            assert told == Fact(message(expected))
        elif isinstance(expected, type):
            assert isinstance(told, expected)
        else:
            assert told == expected
        return self

    def take(self) -> list[Out]:
        """All that was told and not yet expected."""
        told, self.told = self.told, []
        return told

    def done(self) -> None:
        """Nothing else was told."""
        assert self.told == []


@pytest.fixture(autouse=True)
def _no_playbook_is_unfinished() -> Iterator[None]:
    """Nothing may be told that a test does not expect."""
    yield
    while Playbook.opened:
        Playbook.opened.pop().done()


class Options(TypedDict, total=False):
    """The options of a session that these plays use."""

    timing: Timing
    id_prefix: str
    excluded: frozenset[str]
    wanted: frozenset[str] | None
    variables: frozenset[str]
    max_message_bytes: int
    max_list_items: int


def play(credentials: Credentials = PLAIN, **options: Unpack[Options]) -> Playbook:
    """A connection that has just opened."""
    return Playbook(AmiSession(credentials, **options))


def ready(**options: Unpack[Options]) -> Playbook:
    """A session that is logged in and ready; its next action id is ctid-3."""
    book = play(PLAIN, **options)
    book >> GREETING << actions.login_plain("ctid", "s3cret") >> wire(ACCEPTED)
    book >> wire(BOOTED) << BOOTED << actions.core_settings()
    book >> wire("Response: Success|ActionID: ctid-2|AsteriskVersion: 22.10.1~dfsg-1")
    book << Ready("11.0.0", "22.10.1~dfsg-1", filtered=False, filter_note="not asked for")
    book.done()
    return book


class TestLogin:
    """From the open connection to Ready."""

    def test_md5(self) -> None:
        """The MD5 login answers the challenge, and the secret itself is never sent."""
        book = play(Credentials("ctid", "s3cret"))
        book >> GREETING << b"Action: Challenge\r\nActionID: ctid-1\r\nAuthType: MD5\r\n\r\n"
        key = hashlib.md5(b"140973812s3cret", usedforsecurity=False).hexdigest().encode()
        book >> wire("Response: Success|ActionID: ctid-1|Challenge: 140973812")
        book << (
            b"Action: Login\r\nActionID: ctid-2\r\nAuthType: MD5\r\nUsername: ctid\r\nKey: " + key + b"\r\n"
            b"Events: on\r\n\r\n"
        )
        book >> wire("Response: Success|ActionID: ctid-2|Message: Authentication accepted")
        book >> wire(BOOTED) << BOOTED << actions.core_settings()
        book.done()
        assert not book.session.ready

    def test_plain(self) -> None:
        """The plain login sends user and secret at once."""
        book = play() >> GREETING
        book << b"Action: Login\r\nActionID: ctid-1\r\nUsername: ctid\r\nSecret: s3cret\r\nEvents: on\r\n\r\n"
        book.done()

    def test_secret_is_not_shown(self) -> None:
        """The secret does not appear when credentials are printed."""
        assert "s3cret" not in repr(PLAIN)
        assert "ctid" in repr(PLAIN)

    def test_byte_by_byte(self) -> None:
        """The login works whatever the pieces that the bytes come in."""
        book = play()
        for byte in GREETING[:-1]:
            book >> bytes([byte])
        book >> GREETING[-1:] << actions.login_plain("ctid", "s3cret")
        data = wire(ACCEPTED, BOOTED)
        for byte in data[:-1]:
            book >> bytes([byte])
        book >> data[-1:] << BOOTED << actions.core_settings()
        book.done()

    def test_wrong_password(self) -> None:
        """A refused password is not to be tried again; what else arrives is ignored."""
        book = play() >> GREETING << Send
        book >> wire("Response: Error|ActionID: ctid-1|Message: Authentication failed", "Event: X|K: v")
        book << Dead("login_refused", retryable=False, detail="Authentication failed")
        book >> EOF >> wire(ACCEPTED) >> 1000.0
        book.done()
        assert book.session.dead
        assert book.session.next_deadline() is None

    @pytest.mark.parametrize("text", ["Login Already In Use", "Asterisk is shutting down"])
    def test_other_refusals_pass(self, text: str) -> None:
        """A login refused for a passing reason may be tried again, whichever of its two steps that meets."""
        for credentials in (PLAIN, Credentials("ctid", "s3cret")):
            book = play(credentials) >> GREETING << Send
            book >> wire(f"Response: Error|ActionID: ctid-1|Message: {text}")
            book << Dead("login_failed", retryable=True, detail=text)

    def test_challenge_without_a_challenge(self) -> None:
        """A peer that says yes to Challenge and gives none is not logged in to."""
        book = play(Credentials("ctid", "s3cret")) >> GREETING << Send
        book >> wire("Response: Success|ActionID: ctid-1")
        book << Dead("login_failed", retryable=True, detail="the login was not accepted")

    def test_no_banner(self) -> None:
        """A peer that does not greet is given up."""
        book = play()
        assert book.session.next_deadline() == 105.0
        book >> 4.9 >> 0.1 << Dead("no_banner", retryable=True, detail="the peer did not greet")

    def test_not_ami(self) -> None:
        """A peer of another protocol is given up."""
        book = play() >> b"SSH-2.0-OpenSSH_9.2\r\n"
        (dead,) = book.take()
        assert isinstance(dead, Dead)
        assert (dead.reason, dead.retryable) == ("not_ami", True)

    @pytest.mark.parametrize("plain", [True, False])
    def test_no_answer_to_the_login(self, plain: bool) -> None:  # noqa: FBT001 -- a parameter
        """Each step of the login has a deadline, and no Ping is sent before it is over."""
        book = play(Credentials("ctid", "s3cret", plain=plain)) >> 1.0 >> GREETING << Send
        assert book.session.next_deadline() == 111.0
        book >> 9.9 >> 0.1 << Dead
        book.done()

    def test_events_before_the_login_are_no_facts(self) -> None:
        """What a peer sends before it has accepted the login is not believed."""
        book = play() >> GREETING << Send >> wire("Event: Hangup|Uniqueid: 1.1")
        book.done()
        assert book.session.strays == 1

    def test_second_block_before_the_challenge_is_asked(self) -> None:
        """A response that nothing asked for, together with the refusal, is counted and changes nothing."""
        book = play() >> GREETING << Send
        book >> wire("Response: Error|Message: Authentication failed", ACCEPTED) << Dead
        book.done()
        assert book.session.strays == 1

    def test_booting_peer(self) -> None:
        """A peer that is starting is waited for with nothing but Ping; events are told meanwhile."""
        book = play(timing=Timing(booted_s=20.0)) >> GREETING << Send >> wire(ACCEPTED)
        assert book.session.next_deadline() == 105.0
        book >> 5.0 << PING >> wire("Response: Success|ActionID: ctid-ping|Ping: Pong")
        book >> wire("Event: Newchannel|Uniqueid: 1.1") << "Event: Newchannel|Uniqueid: 1.1"
        with pytest.raises(NotReadyError, match="waiting for FullyBooted"):
            book.session.send(Action("CoreStatus"), book.now)
        book >> 5.0 << PING >> wire("Response: Success|ActionID: ctid-ping|Ping: Pong")
        book >> 10.0
        (dead,) = book.take()
        assert isinstance(dead, Dead)
        assert (dead.reason, dead.retryable) == ("not_booted", True)
        assert "read = system" in dead.detail
        assert book.session.strays == 0

    def test_version_refused(self) -> None:
        """A user who may not ask for the version is ready all the same."""
        book = play() >> GREETING << Send >> wire(ACCEPTED, BOOTED) << BOOTED << actions.core_settings()
        book >> wire("Response: Error|ActionID: ctid-2|Message: Permission denied")
        book << Ready("11.0.0", "", filtered=False, filter_note="not asked for")

    def test_version_unanswered(self) -> None:
        """A peer that does not tell its version in time is ready all the same."""
        book = play() >> GREETING << Send >> wire(ACCEPTED, BOOTED) << BOOTED << actions.core_settings()
        book >> 5.0 << Ready("11.0.0", "", filtered=False, filter_note="not asked for") << PING
        book.done()

    @pytest.mark.parametrize(
        ("credentials", "options"),
        [
            (Credentials("ctid\r\nAction: Logoff", "x"), Options()),
            (Credentials("ctid", "x\n"), Options()),
            (PLAIN, Options(id_prefix="a b")),
            (PLAIN, Options(excluded=frozenset({"Hangup\r\n"}))),
            (PLAIN, Options(excluded=frozenset({"a)"}))),
        ],
    )
    def test_what_cannot_be_sent_is_refused_at_once(self, credentials: Credentials, options: Options) -> None:
        """Credentials, prefix and events that would not make a message are refused before any connection."""
        with pytest.raises(EncodeError):
            play(credentials, **options)


class TestFilters:
    """Event filters at the source."""

    def booted(self, version: str) -> Playbook:
        """A session that asks for filters, up to the answered version."""
        book = play(excluded=frozenset({"Newexten", "VarSet"})) >> GREETING << Send
        book >> wire(ACCEPTED, BOOTED) << BOOTED << actions.core_settings()
        return book >> wire(f"Response: Success|ActionID: ctid-2|AsteriskVersion: {version}")

    def expect(self, book: Playbook, *, advanced: bool) -> None:
        """The two filters are being asked for, in this syntax."""
        for _ in ("Newexten", "VarSet"):
            (told, *book.told) = book.told
            assert isinstance(told, Send)
            assert told.data.startswith(b"Action: Filter\r\n")
            assert (b"\r\nMatchCriteria: action(exclude)," in told.data) is advanced
        book.done()

    def test_advanced(self) -> None:
        """A new Asterisk gets advanced filters, and Ready comes when all are accepted."""
        book = self.booted("22.10.1")
        self.expect(book, advanced=True)
        book >> wire("Response: Success|ActionID: ctid-3|Message: Success")
        book >> wire("Response: Success|ActionID: ctid-4|Message: Success")
        book << Ready("11.0.0", "22.10.1", filtered=True, filter_note="advanced")

    def test_legacy_of_an_old_version(self) -> None:
        """An Asterisk that does not know advanced filters gets regular expressions."""
        book = self.booted("16.28.0")
        self.expect(book, advanced=False)
        book >> wire("Response: Success|ActionID: ctid-3", "Response: Success|ActionID: ctid-4")
        book << Ready("11.0.0", "16.28.0", filtered=True, filter_note="legacy")

    def test_legacy_when_advanced_is_not_understood(self) -> None:
        """When advanced filters are not accepted, the legacy ones are tried."""
        book = self.booted("22.10.1")
        self.expect(book, advanced=True)
        book >> wire("Response: Error|ActionID: ctid-3|Message: Filter was formatted incorrectly.")
        book >> wire("Response: Success|ActionID: ctid-4")
        self.expect(book, advanced=False)
        book >> wire("Response: Success|ActionID: ctid-5", "Response: Success|ActionID: ctid-6")
        book << Ready("11.0.0", "22.10.1", filtered=True, filter_note="legacy")

    def test_permission_denied(self) -> None:
        """A user without class system carries on unfiltered, and Ready says so."""
        book = self.booted("22.10.1")
        self.expect(book, advanced=True)
        for number in (3, 4):
            book >> wire(f"Response: Error|ActionID: ctid-{number}|Message: Permission denied")
        book << Ready("11.0.0", "22.10.1", filtered=False, filter_note="Permission denied")

    def test_unanswered(self) -> None:
        """A peer that does not answer about filters is ready unfiltered after both tries."""
        book = self.booted("22.10.1")
        self.expect(book, advanced=True)
        book >> wire("Event: A|K: v") << "Event: A|K: v"
        book >> 5.0
        assert book.told.pop() == Send(PING)
        self.expect(book, advanced=False)
        book >> wire("Response: Error|ActionID: ctid-5", "Event: A|K: v") << "Event: A|K: v"
        book >> 5.0 << Ready("11.0.0", "22.10.1", filtered=False, filter_note="refused") << PING
        book.done()


class TestActions:
    """Actions and their answers."""

    def test_reply(self) -> None:
        """An answer is told with the id of its action, however the answers are ordered."""
        book = ready() >> Action("CoreStatus") << Action("CoreStatus")
        book >> Action("Getvar", (("Variable", "X"),)) << Action("Getvar", (("Variable", "X"),))
        assert book.ids == ["ctid-3", "ctid-4"]
        assert book.session.pending == 2
        second, first = (
            "Response: Success|ActionID: ctid-4|Value: 1",
            "Response: Success|ActionID: ctid-3|K: v",
        )
        book >> wire(second, first)
        book << Reply("ctid-4", message(second)) << Reply("ctid-3", message(first))
        assert book.session.pending == 0

    def test_refusal(self) -> None:
        """A refused action is a reply that is not ok and says why."""
        book = ready() >> actions.hangup("1795409488.1") << Send
        book >> wire("Response: Error|ActionID: ctid-3|Message: No such channel")
        (reply,) = book.take()
        assert isinstance(reply, Reply)
        assert (reply.ok, reply.text, reply.items) == (False, "No such channel", ())

    def test_goodbye(self) -> None:
        """The answer to Logoff is a reply like any other."""
        book = ready() >> Action("Logoff") << Action("Logoff")
        book >> wire("Response: Goodbye|ActionID: ctid-3|Message: Thanks for all the fish.") << Reply
        book >> EOF << Dead

    def test_list(self) -> None:
        """A list is told whole, apart from the events between its items, which are facts in their order."""
        book = ready() >> actions.queue_status() << actions.queue_status()
        start = "Response: Success|ActionID: ctid-3|EventList: start|Message: Queue status will follow"
        items = [
            "Event: QueueParams|Queue: a|ActionID: ctid-3",
            "Event: QueueMember|Name: b|ActionID: ctid-3",
        ]
        end = "Event: QueueStatusComplete|ActionID: ctid-3|EventList: Complete|ListItems: 2"
        fact = "Event: Hangup|Uniqueid: 1.1"
        book >> wire(start) >> wire(items[0], fact) << fact >> wire(items[1])
        book >> wire(end, fact)
        book << Reply("ctid-3", message(start), tuple(map(message, items)), message(end)) << fact
        book.done()

    @pytest.mark.parametrize(
        "text",
        [
            "No active conferences.",
            "No Contacts found",
            "No endpoints found",
            "No Conference by that name found.",
        ],
    )
    def test_empty_list_told_by_an_error(self, text: str) -> None:
        """A list that says by an error that it is empty is an empty list."""
        book = ready() >> Action("PJSIPShowContacts", is_list=True, deadline_s=20.0) << Send
        error = f"Response: Error|ActionID: ctid-3|Message: {text}"
        book >> wire(error).replace(b"\r\n\r\n", b"\n\r\n\r\n")
        book << Reply("ctid-3", message(error), ok=True)
        book.done()

    def test_refused_list(self) -> None:
        """Another error of a list, and a like error of an action that is no list, are refusals."""
        book = (
            ready()
            >> Action("PJSIPShowContacts", is_list=True, deadline_s=20.0)
            << Send
            >> Action("CoreStatus")
            << Send
        )
        denied = "Response: Error|ActionID: ctid-3|Message: Permission denied"
        none = "Response: Error|ActionID: ctid-4|Message: No Contacts found"
        book >> wire(denied, none) << Reply("ctid-3", message(denied), ok=False)
        book << Reply("ctid-4", message(none), ok=False)

    def test_list_without_a_list(self) -> None:
        """A list action that is answered without the promise of a list is answered whole."""
        book = ready() >> Action("BridgeList", is_list=True, deadline_s=20.0) << Send
        answer = "Response: Success|ActionID: ctid-3"
        book >> wire(answer) << Reply("ctid-3", message(answer))

    def test_endless_list(self) -> None:
        """A list of more items than the bound fails, and what still comes of it is dropped."""
        book = ready(max_list_items=2) >> actions.core_show_channels() << Send
        item = "Event: CoreShowChannel|ActionID: ctid-3|Uniqueid: 1.1"
        book >> wire("Response: Success|ActionID: ctid-3|EventList: start", item, item)
        book >> wire(item, item) << Failed("ctid-3", "list_too_long")
        book.done()
        assert book.session.strays == 1

    def test_timeout(self) -> None:
        """An action without a whole answer in its time fails; a late answer is counted and told to nobody."""
        book = (
            ready() >> Action("Getvar", (("Variable", "X"),)) << Send >> 2.0 >> actions.queue_status() << Send
        )
        assert book.session.next_deadline() == 105.0
        book >> wire("Response: Success|ActionID: ctid-4|EventList: start")
        book >> 3.0 << Failed("ctid-3", "timeout")
        late = "Response: Success|ActionID: ctid-3|Value: 1"
        for _ in range(5):
            book >> wire("Event: A|K: v") << "Event: A|K: v" >> 3.0
        book >> wire(late, "Event: QueueParams|ActionID: ctid-4") >> 2.0 << Failed("ctid-4", "timeout")
        book >> wire("Event: QueueStatusComplete|ActionID: ctid-4|EventList: Complete")
        book.done()
        assert book.session.strays == 2

    def test_events_with_an_action_id_are_not_items(self) -> None:
        """OriginateResponse, UserEvent and what others caused are facts, even with an id of ours."""
        book = ready() >> actions.queue_status() << Send
        book >> wire("Response: Success|ActionID: ctid-3|EventList: start")
        for fact in (
            "Event: OriginateResponse|Response: Failure|ActionID: ctid-3",
            "Event: UserEvent|UserEvent: x|ActionID: ctid-3",
            "Event: FaxStatus|ActionID: other-7",
        ):
            book >> wire(fact) << fact
        assert book.session.pending == 1

    def test_an_item_before_its_list(self) -> None:
        """An item whose list was not promised yet is not believed."""
        book = ready() >> actions.queue_status() << Send >> wire("Event: QueueParams|ActionID: ctid-3")
        book.done()
        assert book.session.strays == 1

    def test_response_without_an_id(self) -> None:
        """A response that bears no ActionID belongs to nobody."""
        book = ready() >> wire("Response: Error|Message: Failed to parse message: line too long")
        book.done()
        assert book.session.strays == 1

    def test_what_cannot_be_encoded_leaves_nothing(self) -> None:
        """An action that cannot be sent raises, and nothing is pending."""
        book = ready()
        with pytest.raises(EncodeError):
            book.session.send(Action("Hangup", (("Channel", "a\r\nAction: Logoff"),)), book.now)
        assert book.session.pending == 0

    def test_fence(self) -> None:
        """A fence is a global Setvar, and its VarSet is told among the facts, in order, where it is known."""
        book = ready(wanted=frozenset({"Hangup"}))
        action_id, book.told = book.session.send_fence("boot1-7", book.now)
        book << b"Action: Setvar\r\nActionID: ctid-3\r\nVariable: CTIDFENCE\r\nValue: boot1-7\r\n\r\n"
        assert action_id == "ctid-3"
        other = "Event: VarSet|Channel: PJSIP/1001-00000001|Variable: X|Value: boot1-7"
        fence = "Event: VarSet|Channel: none|Variable: CTIDFENCE|Value: boot1-7|Uniqueid: none"
        hangup = "Event: Hangup|Uniqueid: 1.1"
        book >> wire(hangup, other, fence, hangup, "Event: Unwanted|K: v")
        book << hangup << fence << hangup
        book.done()
        assert book.session.skipped == 2
        assert fence_token(message(fence)) == "boot1-7"

    def test_fence_besides_chosen_variables(self) -> None:
        """The fence comes through whatever variables are chosen."""
        fence = "Event: VarSet|Channel: none|Variable: CTIDFENCE|Value: 1"
        chosen = "Event: VarSet|Channel: x|Variable: CTID_ROOM|Value: 1"
        other = "Event: VarSet|Channel: x|Variable: Y|Value: 1"
        for wanted in (None, frozenset({"VarSet"})):
            book = ready(wanted=wanted, variables=frozenset({"CTID_ROOM"}))
            book >> wire(other, chosen, fence) << chosen << fence
            book.done()
        (ready() >> wire(other) << other).done()

    @pytest.mark.parametrize(
        "text",
        [
            "Event: UserEvent|Channel: none|Variable: CTIDFENCE|Value: 1",
            "Event: VarSet|Channel: PJSIP/1001-00000001|Variable: CTIDFENCE|Value: 1",
            "Event: VarSet|Channel: none|Variable: OTHER|Value: 1",
        ],
    )
    def test_not_a_fence(self, text: str) -> None:
        """A channel's variable of that name, another variable, another event: none is a fence."""
        assert fence_token(message(text)) is None


class TestLife:
    """Keep-alive and the ends of a session."""

    def test_ping_only_in_silence(self) -> None:
        """A Ping is sent after five seconds of silence, and not while bytes come."""
        book = ready()
        for _ in range(4):
            assert book.session.next_deadline() == book.now + 5.0
            book >> 4.9 >> b"\r\n"
        book >> 5.0 << PING >> wire("Event: A|K: v") << "Event: A|K: v"
        book >> wire("Response: Success|ActionID: ctid-ping|Ping: Pong|Timestamp: 1795411005.32")
        book.done()
        assert book.session.strays == 0

    def test_dead_after_silence(self) -> None:
        """Ten seconds without a byte end the session; what was pending fails."""
        book = ready() >> actions.queue_status() << Send >> 5.0 << PING
        assert book.session.next_deadline() == 110.0
        book >> 4.9 >> 0.1 << Failed("ctid-3", "closed")
        book << Dead("silence", retryable=True, detail="no byte for 10.0 s")
        book.done()
        with pytest.raises(NotReadyError, match="dead"):
            book.session.send(actions.ping(), book.now)

    def test_a_caller_that_slept_gives_the_peer_its_time(self) -> None:
        """After a long sleep of our own, the peer still gets its time to answer a Ping."""
        book = ready() >> 300.0 << PING >> 4.9
        book >> wire("Event: A|K: v") << "Event: A|K: v" >> 4.9
        book >> 60.0 << PING >> 5.0 << Dead
        book.done()

    def test_eof(self) -> None:
        """The peer's end fails what is pending, says when it came, and a cut message is not told."""
        book = ready() >> Action("Getvar", (("Variable", "X"),)) << Send >> b"Event: Hangup\r\nUniq" >> 2.0
        book >> EOF << Failed("ctid-3", "closed")
        (dead,) = book.take()
        assert isinstance(dead, Dead)
        assert (dead.reason, dead.retryable) == ("eof", True)
        assert "2.0 s after" in dead.detail
        assert "in the middle of a message" in dead.detail

    def test_eof_during_the_login(self) -> None:
        """A peer that closes during the login, as one with an ACL does, may be tried again."""
        book = play() >> GREETING << Send >> EOF
        (dead,) = book.take()
        assert isinstance(dead, Dead)
        assert (dead.reason, dead.retryable) == ("eof", True)
        assert "while logging in" in dead.detail
        assert "middle" not in dead.detail

    def test_shutdown(self) -> None:
        """A peer that announced its shutdown ended by that."""
        shutdown = "Event: Shutdown|Shutdown: Cleanly|Restart: False"
        book = ready() >> wire(shutdown) << shutdown >> EOF
        (dead,) = book.take()
        assert isinstance(dead, Dead)
        assert dead.reason == "shutdown"

    def test_booted_again(self) -> None:
        """A second FullyBooted is a fact and starts nothing anew."""
        book = ready() >> wire(BOOTED) << BOOTED
        book.done()
        assert book.session.ready

    def test_a_message_without_end(self) -> None:
        """A message over the bound ends the session as a broken wire; what was pending fails."""
        book = ready(max_message_bytes=512) >> Action("Getvar", (("Variable", "X"),)) << Send
        book >> b"Event: " + b"x" * 600 << Failed("ctid-3", "closed")
        book << Dead("wire", retryable=True, detail="a message of more than 512 bytes")
        book.done()

    def test_stray_blocks_are_counted(self) -> None:
        """Blocks that are no messages are counted and cost nothing else."""
        book = ready() >> b"what\r\n\r\n" >> wire("Event: A|K: v") << "Event: A|K: v"
        assert book.session.malformed == 1

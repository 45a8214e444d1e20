"""The SIP phone inside a process of phones: pjsua2's objects, their callbacks, its mouth and its ear.

Everything here runs in the one thread that owns pjsua2, but for the two audio callbacks.
"""

import time
from collections import deque
from collections.abc import Callable

import pjsua2 as pj

from lab import phone_wire as wire

FRAME_BYTES = 320
KEPT_FRAMES = 6000
"""Two minutes of what a phone heard."""


class Ear(pj.AudioMediaPort):  # type: ignore[misc]  # pjsua2 comes without types
    """Keeps what a phone hears. Its callback runs in pjsua2's clock thread, every 20 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: deque[tuple[float, bytes | None]] = deque(maxlen=KEPT_FRAMES)

    def onFrameReceived(self, frame: pj.MediaFrame) -> None:  # noqa: N802  # pjsua2's name
        """Keep a frame; one without audio is a silent one."""
        sound = bytes(frame.buf) if frame.type == pj.PJMEDIA_FRAME_TYPE_AUDIO else None
        self.frames.append((time.monotonic(), sound if sound and len(sound) == FRAME_BYTES else None))


class Mouth(pj.AudioMediaPort):  # type: ignore[misc]  # pjsua2 comes without types
    """Says frames in a loop, or nothing. Its callback runs in pjsua2's clock thread, every 20 ms."""

    def __init__(self) -> None:
        super().__init__()
        self._silence = pj.ByteVector(bytes(FRAME_BYTES))
        self._script: list[pj.ByteVector] = []
        self._next = 0
        self._once = False

    def say(self, samples: bytes, *, once: bool) -> None:
        """Replace what is said."""
        script = [pj.ByteVector(samples[at : at + FRAME_BYTES]) for at in range(0, len(samples), FRAME_BYTES)]
        self._script, self._next, self._once = script, 0, once

    def onFrameRequested(self, frame: pj.MediaFrame) -> None:  # noqa: N802  # pjsua2's name
        """Give the next frame."""
        script, at = self._script, self._next
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        if at < len(script):
            frame.buf = script[at]
            self._next = at + 1 if self._once else (at + 1) % len(script)
        else:
            frame.buf = self._silence


class PhoneCall(pj.Call):  # type: ignore[misc]  # pjsua2 comes without types
    """A call on one line of a phone; on line 0 one that the phone refuses."""

    def __init__(self, phone: "Phone", call_id: int, line: int) -> None:
        super().__init__(phone, call_id)
        self._phone = phone
        self.line = line
        self.held = False
        self.answer_at: float | None = None

    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802, ARG002  # pjsua2's name
        """Tell the test about the call's new state."""
        info = self.getInfo()
        mine = self._phone.calls.get(self.line) is self
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._phone.call_over(self)
        names = {
            pj.PJSIP_INV_STATE_CALLING: "dialing",
            pj.PJSIP_INV_STATE_INCOMING: "ringing",
            pj.PJSIP_INV_STATE_EARLY: "early" if info.role == pj.PJSIP_ROLE_UAC else "ringing",
            pj.PJSIP_INV_STATE_CONFIRMED: "connected",
            pj.PJSIP_INV_STATE_DISCONNECTED: "idle",
        }
        if mine and info.state in names:
            self._phone.tell_call(self.line, names[info.state], info)

    def onCallMediaState(  # noqa: N802  # pjsua2's name
        self,
        prm: pj.OnCallMediaStateParam,  # noqa: ARG002  # pjsua2's signature
    ) -> None:
        """Connect mouth and ear, each time: after a re-INVITE the old connection is gone."""
        info = self.getInfo()  # kept: its members are views into it
        held = False
        for media in info.media:
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            held = media.status == pj.PJSUA_CALL_MEDIA_LOCAL_HOLD
            if media.status in (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD):
                audio = self.getAudioMedia(media.index)
                self._phone.mouth.startTransmit(audio)
                audio.startTransmit(self._phone.ear)
        if held != self.held:
            self.held = held
            self._phone.tell_call(self.line, "held" if held else "connected", info)

    def onDtmfDigit(self, prm: pj.OnDtmfDigitParam) -> None:  # noqa: N802  # pjsua2's name
        """Tell the test about a key."""
        self._phone.emit(wire.Digit(self._phone.number, prm.digit, time.monotonic()))

    def onCallTransferStatus(self, prm: pj.OnCallTransferStatusParam) -> None:  # noqa: N802  # pjsua2's name
        """Tell the test how the transfer goes."""
        self._phone.emit(
            wire.TransferState(self._phone.number, prm.statusCode, bool(prm.finalNotify), time.monotonic())
        )


class Phone(pj.Account):  # type: ignore[misc]  # pjsua2 comes without types
    """A phone: an account, a mouth, an ear, and at most a call on each of its lines."""

    def __init__(
        self, order: wire.Open, emit: Callable[[wire.AnyMessage], None], bury: Callable[[PhoneCall], None]
    ) -> None:
        super().__init__()
        self.number = order.phone
        self.emit = emit
        self._bury = bury
        self.calls: dict[int, PhoneCall] = {}
        self.lines = order.lines
        self.registered = False
        self.auto_answer: float | None = None
        self._refused: list[PhoneCall] = []
        self._host = f"127.0.0.1:{order.sip_port}"
        self.mouth, self.ear, self._hush = Mouth(), Ear(), Mouth()
        shape = pj.MediaFormatAudio()
        shape.init(pj.PJMEDIA_FORMAT_PCM, 8000, 1, 20_000, 16)
        self.mouth.createPort(f"mouth {self.number}", shape)
        self.ear.createPort(f"ear {self.number}", shape)
        self._hush.createPort(f"hush {self.number}", shape)
        # An ear that nobody speaks to is not called; with silence for company it hears on between calls.
        self._hush.startTransmit(self.ear)
        settings = pj.AccountConfig()
        settings.idUri = f"sip:{self.number}@{self._host}"
        settings.regConfig.registrarUri = f"sip:{self._host}"
        settings.regConfig.registerOnAdd = order.register
        settings.regConfig.retryIntervalSec = 2
        settings.regConfig.firstRetryIntervalSec = 1
        settings.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", self.number, 0, order.password))
        settings.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        settings.mediaConfig.transportConfig.port = order.rtp
        self.create(settings)

    def uri(self, number: str) -> str:
        """The address of a number at the registrar."""
        return f"sip:{number}@{self._host}"

    def onRegState(self, prm: pj.OnRegStateParam) -> None:  # noqa: N802  # pjsua2's name
        """Tell the test about the registration."""
        info = self.getInfo()
        self.registered = bool(info.regIsActive)
        self.emit(
            wire.Registration(self.number, prm.code, prm.reason, bool(info.regIsActive), time.monotonic())
        )

    def onInstantMessage(self, prm: pj.OnInstantMessageParam) -> None:  # noqa: N802  # pjsua2's name
        """Tell the test about a text; pjsua2 has accepted it."""
        self.emit(wire.Text(self.number, prm.msgBody, prm.fromUri, time.monotonic()))

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802  # pjsua2's name
        """Ring on the first free line, or answer busy where there is none."""
        line = next((line for line in range(1, self.lines + 1) if line not in self.calls), 0)
        call = PhoneCall(self, prm.callId, line)
        if not line:
            self._refused.append(call)  # must live until the engine buries it
            call.answer(status(486))
            return
        self.calls[line] = call
        call.answer(status(180))
        if self.auto_answer is not None:
            call.answer_at = time.monotonic() + self.auto_answer

    def call_over(self, call: PhoneCall) -> None:
        """Forget a call; the object itself must outlive the callback that it is in."""
        self._bury(call)
        if self.calls.get(call.line) is call:
            del self.calls[call.line]
        elif call in self._refused:
            self._refused.remove(call)

    def tell_call(self, line: int, state: str, info: pj.CallInfo) -> None:
        """Emit the state of the call on a line."""
        self.emit(
            wire.CallState(
                self.number,
                state,
                info.lastStatusCode,
                info.lastReason,
                info.remoteUri,
                time.monotonic(),
                line,
            )
        )


def status(code: int, contact: str = "") -> pj.CallOpParam:
    """The parameters of an answer with a SIP status; `contact` is the address that a 302 diverts to."""
    parameters = pj.CallOpParam(True)
    parameters.statusCode = code
    if contact:
        header = pj.SipHeader()
        header.hName, header.hValue = "Contact", f"<{contact}>"
        parameters.txOption.headers.append(header)
    return parameters

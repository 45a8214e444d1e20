"""A process of SIP phones: requests come in by stdin, replies and events go out by stdout.

One thread owns pjsua2, which holds 4 calls and 8 accounts in a process: phones are spread over several.
The process ends when its stdin does, and when its parent dies.
Run as `python -m lab.phone_process LOGFILE PARENT`.
"""

import base64
import gc
import os
import queue
import sys
import threading
import time
from typing import IO

import msgspec
import pjsua2 as pj

from lab import phone_wire as wire
from lab.leash import die_with_parent
from lab.phone_engine import FRAME_BYTES, Phone, PhoneCall, status

POLL_MS = 5
LEAVE_SECONDS = 2.0


class RefusedError(Exception):
    """The request makes no sense in the phone's present state; told to the test in the reply."""


class Engine:
    """Owns pjsua2, in the thread that makes it and runs it."""

    def __init__(self, output: IO[bytes], log: str) -> None:
        self._output = output
        self._phones: dict[str, Phone] = {}
        self._graveyard: list[PhoneCall] = []
        self._standing = False
        self.requests: queue.SimpleQueue[wire.AnyRequest | None] = queue.SimpleQueue()
        self._endpoint = pj.Endpoint()
        self._endpoint.libCreate()
        settings = pj.EpConfig()
        settings.uaConfig.threadCnt = 0
        settings.uaConfig.mainThreadOnly = True
        settings.uaConfig.maxCalls = 4
        settings.logConfig.level = 4
        settings.logConfig.consoleLevel = 0
        settings.logConfig.filename = log
        settings.medConfig.clockRate = 8000
        settings.medConfig.sndClockRate = 8000
        settings.medConfig.noVad = True
        settings.medConfig.ecTailLen = 0
        self._endpoint.libInit(settings)
        transport = pj.TransportConfig()
        transport.boundAddress = "127.0.0.1"
        self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self._endpoint.audDevManager().setNullDev()
        self._endpoint.libStart()

    def emit(self, message: wire.AnyMessage) -> None:
        """Write one line to the test."""
        self._output.write(msgspec.json.encode(message) + b"\n")
        self._output.flush()

    def run(self) -> None:
        """Serve until stdin ends."""
        self.emit(wire.Ready(os.getpid()))
        while self._serve():
            if self._standing:
                gc.collect()
                self._endpoint.audDevManager().setNullDev()
                self._standing = False
            self._endpoint.libHandleEvents(POLL_MS)
            self._graveyard.clear()
            self._answer_due()
        self._leave()

    def _serve(self) -> bool:
        while not self.requests.empty():
            request = self.requests.get()
            if request is None:
                return False
            try:
                self._carry_out(request)
            except RefusedError as refused:
                self.emit(wire.Done(request.id, str(refused)))
            except pj.Error as error:
                self.emit(wire.Done(request.id, error.info(False)))
        return True

    def _answer_due(self) -> None:
        for phone in self._phones.values():
            for call in list(phone.calls.values()):
                if call.answer_at is not None and time.monotonic() >= call.answer_at:
                    call.answer_at = None
                    call.answer(status(200))

    def _carry_out(self, request: wire.AnyRequest) -> None:
        if isinstance(request, wire.Open):
            if request.phone in self._phones:
                raise RefusedError(f"{request.phone} is open already")
            self._allow(request.codec)
            self._phones[request.phone] = Phone(request, self.emit, self._graveyard.append)
            self.emit(wire.Done(request.id))
            return
        phone = self._phones.get(request.phone)
        if phone is None:
            raise RefusedError(f"{request.phone} is not open")
        if isinstance(request, wire.Listen):
            frames = [frame for frame in list(phone.ear.frames) if frame[0] > request.since]
            pcm = b"".join(sound or bytes(FRAME_BYTES) for _, sound in frames)
            self.emit(wire.HeardSamples(request.id, [at for at, _ in frames], base64.b64encode(pcm)))
            return
        self._command(phone, request)
        self.emit(wire.Done(request.id))

    def _allow(self, codec: str) -> None:
        for known in self._endpoint.codecEnum2():
            self._endpoint.codecSetPriority(known.codecId, 255 if known.codecId == codec else 0)
        # Concealment would fill a gap with a made-up tone, and gaps are what is measured here.
        settings = self._endpoint.codecGetParam(codec)
        settings.setting.plc = False
        self._endpoint.codecSetParam(codec, settings)

    def _command(self, phone: Phone, request: wire.AnyRequest) -> None:
        match request:
            case wire.Register(on=on):
                phone.setRegistration(on)
            case wire.Speak(samples=samples, once=once):
                phone.mouth.say(base64.b64decode(samples), once=once)
            case wire.AutoAnswer(after=after):
                phone.auto_answer = after
            case wire.Dial(number=number, line=line):
                _dial(phone, line, number)
            case wire.Hangup(line=line):
                if line in phone.calls:
                    phone.calls[line].hangup(pj.CallOpParam(True))
            case wire.Answer(code=code, contact=contact, line=line):
                _call(phone, line).answer(status(code, phone.uri(contact) if contact else ""))
            case wire.Hold(on=True, line=line):
                _call(phone, line).setHold(pj.CallOpParam(True))
            case wire.Hold(on=False, line=line):
                again = pj.CallOpParam(True)
                again.opt.flag = pj.PJSUA_CALL_UNHOLD
                _call(phone, line).reinvite(again)
            case wire.Transfer(number=number, line=line):
                _call(phone, line).xfer(phone.uri(number), pj.CallOpParam(True))
            case wire.Join(line=line, onto=onto):
                _call(phone, line).xferReplaces(_call(phone, onto), pj.CallOpParam(True))
            case wire.Dtmf(digits=digits, line=line):
                keys = pj.CallSendDtmfParam()
                keys.method = pj.PJSUA_DTMF_METHOD_RFC2833
                keys.digits = digits
                _call(phone, line).sendDtmf(keys)
            case wire.Close():
                self._close([phone])
            case _:
                raise RefusedError(f"unknown request {request}")

    def _close(self, phones: list[Phone]) -> None:
        """Hang up and unregister, waiting for the other side's word for a moment."""
        for phone in phones:
            for call in list(phone.calls.values()):
                call.hangup(pj.CallOpParam(True))
            if phone.registered:
                phone.setRegistration(False)
        deadline = time.monotonic() + LEAVE_SECONDS
        while any(p.calls or p.registered for p in phones) and time.monotonic() < deadline:
            self._endpoint.libHandleEvents(POLL_MS)
        # The clock's thread calls mouths and ears, and must not meet their end: it stands till then.
        self._endpoint.audDevManager().setNoDev()
        self._standing = True
        for phone in phones:
            phone.calls.clear()
            phone.shutdown()
            del self._phones[phone.number]
        self._graveyard.clear()

    def _leave(self) -> None:
        # No name in this frame keeps a phone: a pjsua2 object that outlives libDestroy aborts the process.
        self._close(list(self._phones.values()))
        gc.collect()
        self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)


def _call(phone: Phone, line: int) -> PhoneCall:
    if line not in phone.calls:
        raise RefusedError(f"{phone.number} has no call on line {line}")
    return phone.calls[line]


def _dial(phone: Phone, line: int, number: str) -> None:
    if line in phone.calls:
        raise RefusedError(f"{phone.number} has a call already on line {line}")
    if line > phone.lines:
        raise RefusedError(f"{phone.number} has {phone.lines} lines, and no line {line}")
    phone.calls[line] = call = PhoneCall(phone, pj.PJSUA_INVALID_ID, line)
    try:
        call.makeCall(phone.uri(number), pj.CallOpParam(True))
    except pj.Error:
        phone.calls.pop(line, None)
        raise


def _read(stdin: IO[bytes], requests: "queue.SimpleQueue[wire.AnyRequest | None]") -> None:
    for line in stdin:
        requests.put(wire.REQUESTS.decode(line))
    requests.put(None)


def main() -> None:
    """Serve phones to the process at the other end of stdin and stdout."""
    log, parent = sys.argv[1], int(sys.argv[2])
    die_with_parent(parent)
    # What native code prints must not get between the lines of the protocol.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    engine = Engine(output, log)
    threading.Thread(target=_read, args=(sys.stdin.buffer, engine.requests), daemon=True).start()
    engine.run()


if __name__ == "__main__":
    main()

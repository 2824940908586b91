#!/usr/bin/env python3
"""A minimal Windlass agent: offers one HTTP/1.1 service to one hub. Standard library only, Python 3.9 or later.

    python3 agent.py --hub https://hub.example.com --upstream 127.0.0.1:3000 --slots 4     (token: WINDLASS_TOKEN)

Written from the description of the wire (src/tunnel/native/SPEC.md); "SPEC n" names its sections.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import re
import secrets
import signal
import ssl
import struct
import sys
import time
import urllib.parse

# SPEC 3: what a hub may send, and how long its payload may be.
WELCOME, BYE, GOAWAY = 0x02, 0x03, 0x04
OPEN, HEAD, INFO, DATA, END, CREDIT, CANCEL, RESET, REFUSED = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18
HELLO, SLOTS, WAITING, PING, PONG = 0x01, 0x20, 0x21, 0x40, 0x41
BOUNDS = {WELCOME: (2, 65536), BYE: (2, 4096), GOAWAY: (2, 4096), OPEN: (8, 86023), DATA: (0, 65536), END: (0, 20480),
          CREDIT: (4, 4), CANCEL: (0, 64), WAITING: (8, 8), PING: (8, 8), PONG: (8, 8)}
OF_STREAMS = {OPEN, DATA, END, CREDIT, CANCEL}
F_END, F_RELEASED, F_NO_BODY, F_UNKNOWN, F_EXPECT = 1, 2, 4, 8, 16
TRAILERS = 5

WINDOW = 65536          # SPEC 6: where every window begins
PIECE = 16384           # SPEC 8: largest DATA while several streams send
UNSENT = 128 * 1024     # SPEC 8: handed to the socket beyond what the kernel takes
HANDSHAKE_S, PING_S, DEAD_S, GRACE_S = 10, 5, 15, 5
REMEMBERED = 10_000     # streams that are over and whose late bytes are still counted

HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
REQUEST = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.[01]\Z")
STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\Z")
SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}\Z")


def log(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


class SessionError(Exception):
    """The hub broke the rules: BYE protocol_error."""


class StreamError(Exception):
    """A request failed: RESET with this code. `began`: 0 nothing of it reached the service, 1 unknown, 2 it did."""

    def __init__(self, code, detail="", began=2):
        super().__init__(detail)
        self.code, self.detail, self.began = code, detail, began


def parse_head(text, first):
    """Strictly (RFC 9112): the first line's match and the fields. None when it is bad."""
    if not text.endswith(b"\r\n\r\n"):
        return None
    lines = text[:-4].split(b"\r\n")
    start = first.match(lines[0])
    if start is None or len(lines) > 161:
        return None
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        # Bare CR and LF, folds and spaces before the colon do not match either.
        if not colon or not TOKEN.match(name) or not VALUE.match(value):
            return None
        fields.append((name, value.strip(b" \t")))
    return start, fields


def values(fields, name):
    return [value for key, value in fields if key.lower() == name]


def content_length(fields):
    """Bytes; None without the field. Two that differ, or no number, are a ValueError."""
    lengths = set(values(fields, b"content-length"))
    if not lengths:
        return None
    if len(lengths) > 1 or not re.match(rb"[0-9]{1,15}\Z", next(iter(lengths))):
        raise ValueError("bad Content-Length")
    return int(lengths.pop())


def field_lines(fields):
    return b"".join(name + b": " + value + b"\r\n" for name, value in fields)


class Stream:
    """One request and its answer."""

    def __init__(self, session, number, flags, payload):
        self.session, self.id = session, number
        self.task = None
        # What the hub may still send, what we may, and what the service has taken since the last CREDIT.
        self.receive_window, self.send_window, self.taken = WINDOW, WINDOW, 0
        self.credit = asyncio.Event()
        self.body = asyncio.Queue()
        self.hub_ended = False
        self.cancelled = False
        self.sent_end = False
        # The frame that ends the answer; it goes out when the service has settled, and says that the slot is free.
        self.final = None
        self.began = 0
        _deadline, fields, text = struct.unpack_from(">IHH", payload)
        if 8 + fields + text > len(payload):
            raise SessionError("an OPEN that is shorter than it says")
        check_fields(payload[8:8 + fields])
        self.text = bytes(payload[8 + fields:8 + fields + text])
        self.flags = flags
        self.unread = None
        self.first_body = bytes(payload[8 + fields + text:])

    def start(self):
        if self.flags & F_END:
            self.hub_ended = True
        self.task = asyncio.ensure_future(self.run())
        if self.first_body:
            self.receive(self.first_body)
        if self.hub_ended:
            self.body.put_nowait(None)

    # -- from the hub

    def receive(self, chunk):
        self.receive_window -= len(chunk)
        if self.receive_window < 0:
            raise SessionError(f"stream {self.id} got more than its window")
        if not self.cancelled:
            self.body.put_nowait(chunk)

    def end(self):
        self.hub_ended = True
        self.body.put_nowait(None)

    def add_credit(self, count):
        if count == 0 or self.send_window + count > 2**31 - 1:
            raise SessionError("a CREDIT that makes no sense")
        self.send_window += count
        self.credit.set()

    def cancel(self):
        self.cancelled = True
        self.task.cancel()

    # -- to the hub

    async def send_body(self, chunk):
        """Within the window, in pieces, and never far ahead of the socket."""
        at = 0
        while at < len(chunk):
            while self.send_window == 0:
                self.credit.clear()
                await self.credit.wait()
            count = min(len(chunk) - at, self.send_window, PIECE)
            self.send_window -= count
            self.session.send(DATA, 0, self.id, chunk[at:at + count])
            at += count
            await self.session.drain()

    def send_head(self, kind, flags, text):
        self.session.send(kind, flags, self.id, struct.pack(">HH", 0, len(text)) + text)

    # -- the service

    async def run(self):
        reset = None
        try:
            await self.exchange()
        except asyncio.CancelledError:
            if not self.cancelled:
                return  # the session is gone
            reset = StreamError("client_gone", "the client has left", self.began)
        except StreamError as error:
            reset = error
        except (OSError, asyncio.IncompleteReadError) as error:
            reset = StreamError("upstream_reset", str(error), self.began)
        except Exception as error:  # a defect of ours must not keep the slot
            log(f"stream {self.id}: {error!r}")
            reset = StreamError("internal", repr(error), self.began)
        # A slot is free when the service has settled, and that is now.
        self.session.release(self, reset)

    async def exchange(self):
        parsed = parse_head(self.text, REQUEST)
        try:
            length = None if parsed is None else content_length(parsed[1])
        except ValueError:
            parsed = None
        if parsed is None or values(parsed[1], b"transfer-encoding"):
            raise StreamError("bad_request", "the head is no request", 0)
        start, fields = parsed
        method = start.group(1)
        no_body, unknown = self.flags & F_NO_BODY, self.flags & F_UNKNOWN
        self.unread = 0 if no_body else None if unknown else length or 0
        upgrade = no_body and not self.flags & F_END and values(fields, b"upgrade")

        host, port = self.session.agent.upstream
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port, limit=65536), 5)
        except asyncio.TimeoutError:
            raise StreamError("connect_timeout", "the service does not accept", 0) from None
        except OSError as error:
            raise StreamError("connect_refused", str(error), 0) from None
        pump = None
        whole = False
        try:
            self.began = 2
            passed = [(name, value) for name, value in fields if name.lower() not in HOP_BY_HOP]
            if upgrade:
                passed += [(b"Connection", b"Upgrade"), (b"Upgrade", upgrade[0])]
            else:
                passed += [(b"Connection", b"close")]
            if unknown:
                passed += [(b"Transfer-Encoding", b"chunked")]
            writer.write(start.group(0).rsplit(b" ", 1)[0] + b" HTTP/1.1\r\n" + field_lines(passed) + b"\r\n")
            if self.flags & F_EXPECT:
                self.send_head(INFO, 0, b"HTTP/1.1 100 Continue\r\n\r\n")
            if not upgrade:
                pump = asyncio.ensure_future(self.pump_request(writer, unknown))
            answer = asyncio.ensure_future(self.answer(method, reader, writer, upgrade))
            try:
                await self.first_failure(answer, pump)
            finally:
                answer.cancel()
                await asyncio.gather(answer, return_exceptions=True)
            whole = True
        finally:
            if pump is not None:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)
            await hang_up(reader, writer, whole)

    async def first_failure(self, answer, pump):
        """The answer decides; a request that is bad ends it early. A service that stops reading may still answer."""
        waiting = {answer} if pump is None else {answer, pump}
        while not answer.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if pump in done and isinstance(pump.exception(), StreamError):
                raise pump.exception()
        answer.result()

    async def pump_request(self, writer, chunked):
        while True:
            chunk = await self.body.get()
            if chunk is None:
                break
            if self.unread is not None:
                self.unread -= len(chunk)
                if self.unread < 0:
                    raise StreamError("tunnel_error", "the body is longer than its length")
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
            await writer.drain()
            self.consumed(len(chunk))
        if self.unread:
            raise StreamError("tunnel_error", "the body is shorter than its length")
        if chunked:
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    def consumed(self, count):
        """SPEC 6: grant what has been taken, when it is half a window."""
        self.taken += count
        if self.taken >= WINDOW // 2 and not self.hub_ended:
            self.session.send(CREDIT, 0, self.id, struct.pack(">I", self.taken))
            self.receive_window += self.taken
            self.taken = 0

    async def answer(self, method, reader, writer, upgrade):
        while True:
            try:
                text = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                raise StreamError("bad_response", "the head of the answer is too long") from None
            except asyncio.IncompleteReadError:
                raise StreamError("upstream_closed", "the service closed before it had answered") from None
            parsed = parse_head(text, STATUS)
            if parsed is None:
                raise StreamError("bad_response", "the head of the answer is no HTTP")
            start, fields = parsed
            status = int(start.group(1))
            line = b"HTTP/1.1 %d %b\r\n" % (status, start.group(2) or b"")
            passed = [(name, value) for name, value in fields if name.lower() not in HOP_BY_HOP]
            if status == 101:
                if not upgrade:
                    raise StreamError("bad_response", "an upgrade that nobody asked for")
                passed += [(b"Connection", b"Upgrade"), (b"Upgrade", upgrade[0])]
                self.send_head(HEAD, F_UNKNOWN, line + field_lines(passed) + b"\r\n")
                await self.tunnel(reader, writer)
                return
            if status >= 200:
                break
            if status != 100:  # we have said that one ourselves
                self.send_head(INFO, 0, line + field_lines(passed) + b"\r\n")
        coding = b",".join(values(fields, b"transfer-encoding")).strip().lower()
        try:
            length = content_length(fields)
        except ValueError:
            raise StreamError("bad_response", "two lengths, or one that is no number") from None
        if coding and (coding != b"chunked" or length is not None):
            raise StreamError("bad_response", "a body whose end is not known")
        if method == b"HEAD" or status in (204, 304):
            text = line + field_lines(passed) + b"\r\n"
            self.final = (HEAD, F_NO_BODY | F_END, struct.pack(">HH", 0, len(text)) + text)
            return
        flags = F_UNKNOWN if length is None else 0
        self.send_head(HEAD, flags, line + field_lines(passed) + b"\r\n")
        trailers = b""
        if coding:
            trailers = await self.chunks(reader)
        elif length is None:
            while chunk := await reader.read(65536):
                await self.send_body(chunk)
        else:
            while length > 0:
                chunk = await reader.read(min(length, 65536))
                if not chunk:
                    raise StreamError("upstream_closed", "the service closed in the middle of its answer")
                length -= len(chunk)
                await self.send_body(chunk)
        self.final = (END, F_END, struct.pack(">BH", TRAILERS, len(trailers)) + trailers if trailers else b"")

    async def chunks(self, reader):
        """A chunked body (RFC 9112 7.1). Returns the lines of its trailers."""
        try:
            while True:
                size = (await reader.readuntil(b"\r\n"))[:-2].partition(b";")[0].rstrip(b" \t")
                if not SIZE.match(size):
                    raise StreamError("bad_response", "a chunk without a size")
                left = int(size, 16)
                if left == 0:
                    break
                while left > 0:
                    chunk = await reader.read(min(left, 65536))
                    if not chunk:
                        raise StreamError("upstream_closed", "the service closed in the middle of a chunk")
                    left -= len(chunk)
                    await self.send_body(chunk)
                if await reader.readexactly(2) != b"\r\n":
                    raise StreamError("bad_response", "a chunk that is longer than it says")
            lines = b""
            while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
                name, colon, value = line[:-2].partition(b":")
                lines += line
                if not colon or not TOKEN.match(name) or not VALUE.match(value) or len(lines) > 16384:
                    raise StreamError("bad_response", "trailers that are no fields")
            return lines
        except asyncio.IncompleteReadError:
            raise StreamError("upstream_closed", "the service closed in the middle of its answer") from None
        except asyncio.LimitOverrunError:
            raise StreamError("bad_response", "a line without end in a chunked body") from None

    async def tunnel(self, reader, writer):
        """After 101: raw bytes both ways; each end closes one direction."""
        async def up():
            while (chunk := await self.body.get()) is not None:
                writer.write(chunk)
                await writer.drain()
                self.consumed(len(chunk))
            writer.write_eof()

        async def down():
            while chunk := await reader.read(65536):
                await self.send_body(chunk)

        # Either that fails ends both.
        ways = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
        try:
            await ways[1]
            self.session.send(END, F_END, self.id)
            self.sent_end = True
            await ways[0]
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


async def hang_up(reader, writer, whole):
    """FIN, then wait until the service closes too: a slot is not free while it still works on what was given up."""
    try:
        if not whole and writer.can_write_eof():
            writer.write_eof()

            async def rest():
                while await reader.read(65536):
                    pass

            await asyncio.wait_for(rest(), GRACE_S)
    except (OSError, asyncio.TimeoutError, asyncio.CancelledError):
        pass
    finally:
        writer.transport.abort() if not whole else writer.close()


def check_fields(payload):
    """Typed fields: u8 type, u16 length, value. Their meanings are all optional to an agent as small as this."""
    at = 0
    while at < len(payload):
        if at + 3 > len(payload):
            raise SessionError("typed fields that do not end at their end")
        at += 3 + struct.unpack_from(">H", payload, at + 1)[0]
    if at != len(payload):
        raise SessionError("typed fields that do not end at their end")


def parse_json(payload):
    try:
        said = json.loads(payload)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise SessionError("JSON that is no object")
    return said


class Session:
    """One connection to the hub, behind its 101."""

    def __init__(self, agent, reader, writer):
        self.agent, self.reader, self.writer = agent, reader, writer
        self.streams = {}
        self.past = collections.OrderedDict()
        self.last = 0
        self.welcomed = False
        self.leaving = False
        self.heard = time.monotonic()
        self.retry_after = 0.0
        self.goodbye = None
        self.over = asyncio.Event()
        writer.transport.set_write_buffer_limits(high=UNSENT)

    def send(self, kind, flags, stream, payload=b""):
        self.writer.write(struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload)

    async def drain(self):
        await self.writer.drain()

    def send_slots(self):
        """SPEC 7: the level after all OPENs up to `seen`."""
        free = 0 if self.leaving else max(0, self.agent.slots - len(self.streams))
        self.send(SLOTS, 0, 0, struct.pack(">III", self.agent.slots, free, self.last))

    def bye(self, code, reason=""):
        if self.goodbye is None:
            self.goodbye = code
            self.send(BYE, 0, 0, json.dumps({"code": code, "reason": reason[:300], "retryAfterMs": 0}).encode())
            self.over.set()

    async def run(self):
        agent = self.agent
        self.send(HELLO, 0, 0, json.dumps({
            "versions": [1], "features": [], "agent": agent.id, "instance": agent.instance, "labels": agent.labels, "hardware": None,
            "slots": {"total": agent.slots, "free": agent.slots},
        }).encode())
        jobs = [asyncio.ensure_future(job) for job in (self.watch(), self.read(), self.over.wait())]
        try:
            await asyncio.wait(jobs[1:], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            # A lost session never completes a body: what runs is given up.
            tasks = [stream.task for stream in self.streams.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.writer.close()

    async def watch(self):
        """SPEC 9: silence is asked about, and after a while it is death."""
        while True:
            await asyncio.sleep(1)
            silent = time.monotonic() - self.heard
            if silent >= DEAD_S or (silent >= HANDSHAKE_S and not self.welcomed):
                self.bye("silent", "nothing was heard for too long")
                self.writer.transport.abort()
                return
            if silent >= PING_S and int(silent) % PING_S == 0:
                self.send(PING, 0, 0, secrets.token_bytes(8))

    async def read(self):
        try:
            while self.goodbye is None:
                await self.read_frame()
        except SessionError as error:
            log(f"the hub broke the rules: {error}")
            self.bye("protocol_error", str(error))
        except (OSError, asyncio.IncompleteReadError):
            log("the connection to the hub is lost")

    async def read_frame(self):
        header = await self.reader.readexactly(9)
        length = int.from_bytes(header[:3], "big")
        kind, flags, number = struct.unpack(">BBI", header[3:])
        least, most = BOUNDS.get(kind, (0, 65536))
        if kind not in BOUNDS and not kind & 0x80:
            raise SessionError(f"a frame of type {kind:#x}")
        if not least <= length <= most:
            raise SessionError(f"a frame of type {kind:#x} with {length} bytes")
        if kind in BOUNDS and (kind in OF_STREAMS) != (number != 0):
            raise SessionError(f"a frame of type {kind:#x} on stream {number}")
        payload = await self.reader.readexactly(length)
        self.heard = time.monotonic()
        if kind == PING:
            self.send(PONG, 0, 0, payload)
        elif kind in (PONG, WAITING) or kind & 0x80:
            pass  # WAITING matters to agents of several hubs
        elif kind == BYE:
            self.take_leave(payload)
        elif kind == WELCOME:
            self.welcome(payload)
        elif not self.welcomed:
            raise SessionError("a frame before WELCOME")
        elif kind == GOAWAY:
            self.leave("drained")
        elif kind == OPEN:
            self.open(number, flags, payload)
        else:
            self.of_stream(kind, flags, number, payload)

    def welcome(self, payload):
        said = parse_json(payload)
        if self.welcomed or said.get("version") != 1:
            raise SessionError("a WELCOME that was not due")
        self.welcomed = True
        log(f"joined hub {said.get('hub')!r}")
        self.agent.failures = 0

    def take_leave(self, payload):
        said = parse_json(payload)
        self.goodbye = code = str(said.get("code", ""))
        log(repr(f"the hub says goodbye: {code} {said.get('reason', '')}"[:300]))
        after = said.get("retryAfterMs")
        self.retry_after = min(after / 1000, 60) if isinstance(after, (int, float)) and after > 0 else 0
        if code in ("unauthorized", "forbidden"):
            self.retry_after = max(self.retry_after, 30)

    def leave(self, code):
        """Nothing new; what runs finishes, then BYE."""
        if not self.leaving:
            self.leaving = True
            if code == "leaving":
                self.send(GOAWAY, 0, 0, json.dumps({"code": code, "reason": "", "retryAfterMs": 0}).encode())
            self.leaving_code = code
        if not self.streams:
            self.bye(self.leaving_code)

    def open(self, number, flags, payload):
        if number != self.last + 1:
            raise SessionError(f"stream {number} after {self.last}")
        self.last = number
        if self.leaving or len(self.streams) >= self.agent.slots:
            # Nothing of it reached the service: the hub may send it elsewhere.
            self.send(REFUSED, 0, number)
            self.remember(number, WINDOW)
            self.send_slots()
            return
        stream = Stream(self, number, flags, payload)
        self.streams[number] = stream
        stream.start()

    def of_stream(self, kind, flags, number, payload):
        if number > self.last:
            raise SessionError(f"a frame of stream {number}, which was never opened")
        stream = self.streams.get(number)
        if stream is None:
            if kind == DATA and number in self.past:
                self.past[number] -= len(payload)
                if self.past[number] < 0:
                    raise SessionError(f"stream {number} got more than its window")
        elif kind == CREDIT:
            stream.add_credit(struct.unpack(">I", payload)[0])
        elif kind == CANCEL:
            if not stream.cancelled:
                stream.cancel()
        elif stream.hub_ended:
            raise SessionError(f"stream {number} goes on behind its end")
        else:
            if kind == END:
                check_fields(payload)
            elif payload:
                stream.receive(payload)
            if kind == END or flags & F_END:
                stream.end()

    def release(self, stream, reset):
        """The stream is over and its slot free: the last frame says so."""
        del self.streams[stream.id]
        self.remember(stream.id, stream.receive_window)
        if stream.final is not None:
            kind, flags, payload = stream.final
            self.send(kind, flags | F_RELEASED, stream.id, payload)
        elif not stream.sent_end:
            code = reset.code.encode()
            self.send(RESET, F_RELEASED, stream.id, struct.pack(">BB", reset.began, len(code)) + code + str(reset)[:300].encode())
        else:
            # Its END is long out (an upgrade): only the level can say it.
            self.send_slots()
        if self.leaving:
            self.leave(self.leaving_code)

    def remember(self, number, window):
        self.past[number] = window
        if len(self.past) > REMEMBERED:
            self.past.popitem(last=False)


class Refused(Exception):
    def __init__(self, status, retry_after):
        super().__init__(f"the hub answers {status}")
        self.retry_after = retry_after


class Agent:
    def __init__(self, options, token):
        self.hub = urllib.parse.urlsplit(options.hub if "://" in options.hub else f"http://{options.hub}")
        host, _, port = options.upstream.rpartition(":")
        self.upstream = (host.strip("[]"), int(port))
        self.token, self.slots, self.id = token, options.slots, options.agent_id
        self.instance = secrets.token_hex(8)
        self.labels = dict(label.split("=", 1) for label in options.label)
        self.failures = 0
        self.session = None
        self.stopping = asyncio.Event()

    def stop(self):
        self.stopping.set()
        if self.session is not None:
            self.session.leave("leaving")

    async def run(self):
        while not self.stopping.is_set():
            wait = 0.0
            try:
                reader, writer = await asyncio.wait_for(self.dial(), HANDSHAKE_S)
                self.session = Session(self, reader, writer)
                await self.session.run()
                wait = self.session.retry_after
            except Refused as error:
                log(str(error))
                wait = error.retry_after
            except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                log(f"the hub cannot be reached: {error!r}")
            self.session = None
            # SPEC 1: full jitter, from a quarter of a second to five.
            wait += random.uniform(0, min(5, 0.25 * 2**self.failures))
            self.failures = min(self.failures + 1, 10)
            try:
                await asyncio.wait_for(self.stopping.wait(), wait)
            except asyncio.TimeoutError:
                pass

    async def dial(self):
        tls = self.hub.scheme == "https"
        port = self.hub.port or (443 if tls else 80)
        reader, writer = await asyncio.open_connection(self.hub.hostname, port, ssl=ssl.create_default_context() if tls else None, limit=2**20)
        try:
            writer.write(f"GET {self.hub.path.rstrip('/')}/windlass/agent HTTP/1.1\r\nHost: {self.hub.netloc.rpartition('@')[2]}\r\nConnection: Upgrade\r\n"
                         f"Upgrade: windlass/1\r\nWindlass-Token: {self.token}\r\n\r\n".encode("latin-1"))
            head = parse_head(await reader.readuntil(b"\r\n\r\n"), STATUS)
            if head is None:
                raise OSError("what answers there speaks no HTTP")
            status, fields = int(head[0].group(1)), head[1]
            if status == 101 and values(fields, b"upgrade") == [b"windlass/1"]:
                return reader, writer
            after = values(fields, b"retry-after")
            seconds = int(after[0]) if after and after[0].isdigit() else 0
            raise Refused(status, max(seconds, 30 * random.uniform(1, 1.5) if status in (401, 403) else 0))
        except BaseException:
            writer.close()
            raise


async def main():
    parser = argparse.ArgumentParser(description="A minimal Windlass agent.")
    parser.add_argument("--hub", required=True, help="address of the hub, such as https://hub.example.com")
    parser.add_argument("--upstream", required=True, help="HOST:PORT of the service")
    parser.add_argument("--slots", type=int, default=1, help="requests at once")
    parser.add_argument("--agent-id", default=f"python-{secrets.token_hex(4)}", help="stable name of this agent")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    token = os.environ.get("WINDLASS_TOKEN", "")
    if not token:
        parser.error("set WINDLASS_TOKEN to the agent's token")
    agent = Agent(options, token)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, agent.stop)
    await agent.run()


if __name__ == "__main__":
    asyncio.run(main())

"""Calls the test service of test/kit/grpc.ts with grpcio, case by case, and prints what came of each as one JSON object.

usage: grpc_client.py PORT [CA_FILE]
"""

import base64
import json
import sys

import grpc

BINARY = bytes([0, 1, 127, 128, 255])
LIMITS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
]


def channel_to(port, ca_file, **more):
    target = f"127.0.0.1:{port}"
    if ca_file is None:
        return grpc.insecure_channel(target, options=LIMITS, **more)
    with open(ca_file, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    options = LIMITS + [("grpc.ssl_target_name_override", "hub.test")]
    return grpc.secure_channel(target, credentials, options=options, **more)


def plain(metadata, prefix):
    """What a test can compare: text as it is, bytes in base64, in the order in which it came."""
    return [
        [key, base64.b64encode(value).decode() if isinstance(value, bytes) else value]
        for key, value in metadata
        if key.startswith(prefix)
    ]


def failed(error):
    return {"code": error.code().value[0], "details": error.details()}


class Cases:
    def __init__(self, channel, gzip):
        self.unary = channel.unary_unary("/test.Service/Unary")
        self.zipped = gzip.unary_unary("/test.Service/Unary")
        self.collect = channel.stream_unary("/test.Service/Collect")
        self.emit = channel.unary_stream("/test.Service/Emit")
        self.talk = channel.stream_stream("/test.Service/Talk")

    def case_unary(self):
        sent = [
            ("x-echo-text", "one"),
            ("x-echo-text", "two"),
            ("x-echo-raw-bin", BINARY),
            ("x-echo-raw-bin", b"three"),
            ("x-trail-raw-bin", BINARY),
            ("x-trail-text", "a b"),
        ]
        message, call = self.unary.with_call(b"hello", metadata=sent, timeout=30)
        return {
            "message": message.decode(),
            "head": sorted(plain(call.initial_metadata(), "x-echo")),
            "trailers": sorted(plain(call.trailing_metadata(), "x-trail")),
            "code": call.code().value[0],
        }

    def case_streams(self):
        collected = self.collect(iter([b"x" * n for n in range(100)]), timeout=30)
        emitted = [len(message) for message in self.emit(b"50 1000", timeout=30)]
        return {"collected": collected.decode(), "emitted": emitted}

    def case_conversation(self):
        """Each message is sent when the one before has been answered."""
        answers = []

        def questions():
            for i in range(20):
                while len(answers) < i:
                    heard.wait()
                    heard.clear()
                yield f"message {i}".encode()

        import threading

        heard = threading.Event()
        for answer in self.talk(questions(), timeout=30):
            answers.append(answer.decode())
            heard.set()
        return answers

    def case_error(self):
        sent = [("x-fail", "9"), ("x-message", "100%25%20gr%C3%B6%C3%9Fer"), ("x-details-bin", BINARY)]
        results = []
        for call in (lambda: self.unary(b"x", metadata=sent, timeout=30), lambda: list(self.emit(b"2 5", metadata=sent, timeout=30))):
            try:
                call()
            except grpc.RpcError as error:
                results.append({**failed(error), "trailers": plain(error.trailing_metadata(), "grpc-status-details")})
        return results

    def case_large(self):
        large = bytes(range(256)) * (4 * 1024 * 4)
        return {"same": self.unary(large, timeout=60) == large, "bytes": len(large)}

    def case_gzip(self):
        text = b"abc" * 100_000
        return self.zipped(text, timeout=30) == text

    def case_parallel(self):
        futures = [self.unary.future(str(i).encode() * 1000, timeout=60) for i in range(100)]
        return [future.result() == str(i).encode() * 1000 for i, future in enumerate(futures)].count(True)

    def case_deadline(self):
        try:
            self.unary(b"x", metadata=[("x-hang", "1")], timeout=0.5)
        except grpc.RpcError as error:
            return error.code().value[0]

    def case_cancel(self):
        call = self.talk(iter([b"a"]), metadata=[("x-hang", "1")], timeout=60)
        first = next(call)
        call.cancel()
        try:
            next(call)
        except grpc.RpcError as error:
            return [first.decode(), error.code().value[0]]

    def case_early(self):
        """The service ends the call while its client could go on for ever."""
        import itertools

        sent = [("x-early", "1"), ("x-fail", "11"), ("x-message", "enough")]
        try:
            list(self.talk(itertools.repeat(b"more"), metadata=sent, timeout=60))
        except grpc.RpcError as error:
            return failed(error)


def main():
    port, ca_file = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    with channel_to(port, ca_file) as channel, channel_to(port, ca_file, compression=grpc.Compression.Gzip) as gzip:
        cases = Cases(channel, gzip)
        results = {}
        for name in dir(cases):
            if name.startswith("case_"):
                try:
                    results[name[5:]] = getattr(cases, name)()
                except grpc.RpcError as error:
                    results[name[5:]] = {"unexpected": failed(error)}
        print(json.dumps(results))


if __name__ == "__main__":
    main()

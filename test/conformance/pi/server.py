"""A server of the PI text-to-speech system: server.py PORT NAME [LOAD]. Says on which port it listens."""

import sys
import threading
from concurrent import futures

import grpc

import tts_pb2
import tts_pb2_grpc

CHUNKS = 3
# What metadata must have.
TOKEN = "user_token"
REPEATS = 400


class Service(tts_pb2_grpc.TTSServiceServicer):
    def __init__(self, name, load):
        self.name = name
        self.load = load
        self.users = set()
        self.voices = {}
        self.pairs = set()
        self.lock = threading.Lock()

    def begin(self, context):
        """Whoever calls must say who he is."""
        metadata = dict(context.invocation_metadata())
        trailers = [("server-name", self.name)]
        if "echo-bin" in metadata:
            trailers.append(("echo-bin", metadata["echo-bin"]))
        if self.load is not None:
            trailers.append(("endpoint-load-metrics", f"TEXT cpu_utilization={self.load}"))
        context.send_initial_metadata((("server-name", self.name),))
        context.set_trailing_metadata(tuple(trailers))
        if TOKEN not in metadata:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{TOKEN} is missing")

    def reply(self, message):
        return tts_pb2.Reply(success=True, message=message)

    def SynthesizeStream(self, requests, context):
        self.begin(context)
        index = 0
        for request in requests:
            for _ in range(CHUNKS):
                yield tts_pb2.AudioResponse(audio_chunk=request.text.encode() * REPEATS, chunk_index=index)
                index += 1

    def AddUser(self, request, context):
        self.begin(context)
        with self.lock:
            if request.user in self.users:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{request.user} is there")
            self.users.add(request.user)
        return self.reply(f"added {request.user}")

    def RemoveUser(self, request, context):
        self.begin(context)
        with self.lock:
            if request.user not in self.users:
                context.abort(grpc.StatusCode.NOT_FOUND, f"no user “{request.user}”, 100 % sure")
            self.users.remove(request.user)
        return self.reply(f"removed {request.user}")

    def AddVoice(self, request, context):
        self.begin(context)
        if request.voice == "slow":
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait(20)
        with self.lock:
            self.voices[request.voice] = len(request.sample)
        return self.reply(f"{request.voice} has {len(request.sample)} bytes")

    def RemoveVoice(self, request, context):
        self.begin(context)
        with self.lock:
            self.voices.pop(request.voice, None)
        return self.reply(f"removed {request.voice}")

    def AssociateUserVoice(self, request, context):
        self.begin(context)
        with self.lock:
            self.pairs.add((request.user, request.voice))
        return self.reply(f"{request.user} speaks as {request.voice}")

    def RemoveUserVoiceAssociation(self, request, context):
        self.begin(context)
        with self.lock:
            self.pairs.discard((request.user, request.voice))
        return self.reply(f"{request.user} speaks no more as {request.voice}")


def main():
    port, name = sys.argv[1], sys.argv[2]
    load = sys.argv[3] if len(sys.argv) > 3 else None
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    tts_pb2_grpc.add_TTSServiceServicer_to_server(Service(name, load), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print(bound, flush=True)
    # Whoever started it holds its standard input: with him it ends.
    sys.stdin.read()


main()

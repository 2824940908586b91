"""A client of the PI text-to-speech system: client.py ADDRESS. Orders come as lines of JSON, and so does what becomes of them."""

import base64
import json
import queue
import sys
import threading

import grpc

import tts_pb2
import tts_pb2_grpc

REQUESTS = {
    "AddUser": tts_pb2.UserRequest,
    "RemoveUser": tts_pb2.UserRequest,
    "AddVoice": tts_pb2.VoiceRequest,
    "RemoveVoice": tts_pb2.VoiceRequest,
    "AssociateUserVoice": tts_pb2.UserVoiceRequest,
    "RemoveUserVoiceAssociation": tts_pb2.UserVoiceRequest,
}

say_lock = threading.Lock()


def say(**line):
    with say_lock:
        print(json.dumps(line), flush=True)


def metadata_of(order):
    found = []
    for name, value in order.get("metadata", {}).items():
        found.append((name, base64.b64decode(value) if name.endswith("-bin") else value))
    return tuple(found)


def table(metadata):
    return {key: base64.b64encode(value).decode() if isinstance(value, bytes) else value for key, value in metadata or ()}


def ended(order, call, reply=None):
    say(id=order["id"], code=call.code().value[0], details=call.details() or "", reply=reply, initial=table(call.initial_metadata()), trailers=table(call.trailing_metadata()))


def unary(stub, order):
    request = dict(order["request"])
    if "sample" in request:
        request["sample"] = base64.b64decode(request["sample"])
    method = getattr(stub, order["method"])
    call = method.future(REQUESTS[order["method"]](**request), metadata=metadata_of(order), timeout=order.get("timeout", 15))
    error = call.exception()
    ended(order, call, None if error else {"success": call.result().success, "message": call.result().message})


def stream(stub, order, texts):
    call = stub.SynthesizeStream(iter(texts.get, None), metadata=metadata_of(order), timeout=15)
    try:
        for answer in call:
            say(id=order["id"], audio=base64.b64encode(answer.audio_chunk).decode(), index=answer.chunk_index)
    except grpc.RpcError:
        pass
    texts.put(None)
    ended(order, call)


def main():
    stub = tts_pb2_grpc.TTSServiceStub(grpc.insecure_channel(sys.argv[1]))
    streams = {}
    for line in sys.stdin:
        order = json.loads(line)
        kind = order["do"]
        if kind == "unary":
            threading.Thread(target=unary, args=(stub, order), daemon=True).start()
        elif kind == "open":
            streams[order["id"]] = queue.Queue()
            threading.Thread(target=stream, args=(stub, order, streams[order["id"]]), daemon=True).start()
        elif kind == "send":
            streams[order["id"]].put(tts_pb2.TextRequest(text=order["text"]))
        elif kind == "end":
            streams[order["id"]].put(None)


main()

"""IOTMP with an implementation of its own: PSON and frames in Python, written from the description in
docs/wire/iotmp.md, against the vectors, and as a device of the example server.

    iotmp.py EXAMPLES
"""

import json
import math
import os
import queue
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | number & 0x7F)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at


def head(kind, number):
    return bytes([kind << 5 | number]) if number < 31 else bytes([kind << 5 | 31]) + varint(number)


def write(value):
    if value is None or isinstance(value, bool):
        return head(3, {False: 0, True: 1, None: 2}[value])
    if isinstance(value, float) and value.is_integer() and -(2**63) <= value < 2**63:
        value = int(value)
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -value)
    if isinstance(value, float):
        try:
            short = struct.pack("<f", value)
        except OverflowError:
            short = b"\0\0\0\0"
        if struct.unpack("<f", short)[0] == value:
            return head(2, 0) + short
        return head(2, 1) + struct.pack("<d", value)
    if isinstance(value, str):
        return head(4, len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return head(5, len(value)) + value
    if isinstance(value, dict):
        return head(6, len(value)) + b"".join(write(name) + write(inner) for name, inner in value.items())
    return head(7, len(value)) + b"".join(map(write, value))


def read(data, at=0):
    kind, number = data[at] >> 5, data[at] & 31
    at += 1
    if number == 31:
        number, at = read_varint(data, at)
    if kind == 0:
        return number, at
    if kind == 1:
        return -number, at
    if kind == 2:
        form, size = [("<f", 4), ("<d", 8)][number]
        return struct.unpack(form, data[at : at + size])[0], at + size
    if kind == 3:
        return [False, True, None][number], at
    if kind in (4, 5):
        raw = bytes(data[at : at + number])
        assert len(raw) == number
        return (raw.decode() if kind == 4 else raw), at + number
    if kind == 6:
        found = {}
        for _ in range(number):
            name, at = read(data, at)
            found[name], at = read(data, at)
        return found, at
    found = []
    for _ in range(number):
        item, at = read(data, at)
        found.append(item)
    return found, at


KINDS = ["", "OK", "ERROR", "CONNECT", "DISCONNECT", "KEEP_ALIVE", "RUN", "DESCRIBE", "START_STREAM", "STOP_STREAM", "STREAM_DATA"]
FIELDS = {1: "stream_id", 2: "parameters", 3: "payload", 4: "resource"}


def message(kind, **fields):
    """A frame. The fields descend, as the Linux client often has them."""
    body = b""
    for number, name in sorted(FIELDS.items(), reverse=True):
        if name in fields:
            value = fields[name]
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32:
                body += varint(number << 3) + varint(value)
            else:
                body += varint(number << 3 | 2) + write(value)
    return bytes([KINDS.index(kind)]) + varint(len(body)) + body


def read_message(code, body):
    fields, at = {"type": KINDS[code]}, 0
    while at < len(body):
        key, at = read_varint(body, at)
        value, at = read_varint(body, at) if key & 7 == 0 else read(body, at)
        fields[FIELDS[key >> 3]] = value
    return fields


def plain(value):
    """A value of the vectors."""
    if isinstance(value, dict):
        if "_bytes" in value:
            return bytes.fromhex(value["_bytes"])
        if "_float" in value:
            return math.nan if value["_float"] == "NaN" else math.inf
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def same(one, other):
    both = isinstance(one, float) and isinstance(other, float)
    return one == other or both and math.isnan(one) and math.isnan(other)


def check_vectors():
    folder = "crates/pointstream-iotmp/tests/vectors/"
    with open(folder + "pson-v2.json") as file:
        vectors = json.load(file)["canonical"]
    count = 0
    for vector in vectors:
        raw, value = bytes.fromhex(vector["hex"]), plain(vector["value"])
        found, end = read(raw)
        assert end == len(raw) and same(found, value), (vector, found)
        assert write(value) == raw, vector
        count += 1
    with open(folder + "frames.json") as file:
        frames = [frame for frame in json.load(file)["frames"] if frame["dialect"] == "2"]
    for frame in frames:
        raw = bytes.fromhex(frame["hex"])
        size, at = read_varint(raw, 1)
        assert at + size == len(raw)
        assert read_message(raw[0], raw[at:]) == plain(frame["message"]), frame
        count += 1
    print(count, "vectors read as the others read them")


class Device(threading.Thread):
    """A device with an output, an input and a stream; answers in the reverse order where it can."""

    def __init__(self, address, name="device"):
        super().__init__(daemon=True)
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.stream = self.socket.makefile("rb")
        self.led = None
        self.streams = {}
        self.answers = queue.Queue()
        self.told = queue.Queue()
        self.socket.sendall(message("CONNECT", stream_id=17767, payload=["user", name, "secret"]))
        assert self.receive() == {"type": "OK", "stream_id": 17767}
        self.start()

    def receive(self):
        code = self.stream.read(1)
        if not code:
            return None
        size = shift = 0
        while True:
            byte = self.stream.read(1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return read_message(code[0], self.stream.read(size))

    def run(self):
        while (asked := self.receive()) is not None:
            number = asked.get("stream_id")
            if asked["type"] in ("OK", "ERROR"):
                self.answers.put(asked)
            elif asked["type"] == "STREAM_DATA":
                self.told.put((number, asked["payload"]))
            elif asked["type"] == "DESCRIBE" and "resource" not in asked:
                self.answer(number, {"temperature": {"fn": 3}, "led": {"fn": 2}})
            elif asked["type"] == "DESCRIBE":
                self.answer(number, {"in": self.led} if asked["resource"] == "led" else {"out": 23.5})
            elif asked["type"] == "RUN" and asked["resource"] == "led":
                self.led = asked.get("payload")
                self.answer(number)
            elif asked["type"] == "RUN" and asked["resource"] == "temperature":
                self.answer(number, {"celsius": 23.5, "raw": b"\xff\0"})
            elif asked["type"] == "START_STREAM" and asked["resource"] == "temperature":
                self.streams[number] = asked.get("parameters")
                self.answer(number)
                for step in range(3):
                    self.socket.sendall(message("STREAM_DATA", stream_id=number, payload=23.5 + step))
            elif asked["type"] == "STOP_STREAM":
                self.streams.pop(number, None)
                self.answer(number)
            elif asked["type"] in ("RUN", "START_STREAM"):
                self.socket.sendall(message("ERROR", stream_id=number, parameters=404))

    def ask(self, kind, number, **fields):
        """Asks something of the server and gives its answer."""
        self.socket.sendall(message(kind, stream_id=number, **fields))
        answer = self.answers.get(timeout=10)
        assert answer["stream_id"] == number, answer
        return answer

    def answer(self, number, payload=None):
        fields = {} if payload is None else {"payload": payload}
        self.socket.sendall(message("OK", stream_id=number, **fields))


def check_services(device, other):
    """What the server offers its devices: another one's resource, events, topics, properties, calls."""
    parameters = {"type": "device", "id": "device", "interval": 2}
    assert other.ask("START_STREAM", 7, resource="temperature", parameters=parameters)["type"] == "OK"
    assert other.told.get(timeout=10) == (7, 23.5)
    assert {"interval": 2000} in device.streams.values(), device.streams
    assert other.ask("STOP_STREAM", 7)["type"] == "OK"
    # A property, and the event that it was set.
    event = {"event": "device_property_update", "filters": {"property": "limits"}}
    assert other.ask("START_STREAM", 8, resource=8, parameters=event)["type"] == "OK"
    assert other.ask("RUN", 9, resource=2, parameters="limits", payload={"max": 80.5})["type"] == "OK"
    assert other.told.get(timeout=10) == (8, {"max": 80.5})
    # The other family of clients has the number and the name the other way round.
    assert other.ask("RUN", 10, resource="limits", parameters=1)["payload"] == {"max": 80.5}
    assert other.ask("RUN", 11, resource=1, parameters="none")["parameters"] == 404
    topic = {"event": "device_topic_publish", "topic": "plant/+", "scope": "subscribe"}
    assert other.ask("START_STREAM", 12, resource=8, parameters=topic)["type"] == "OK"
    topic = {"event": "device_topic_publish", "topic": "plant/a", "scope": "publish"}
    assert device.ask("START_STREAM", 13, resource=8, parameters=topic)["type"] == "OK"
    device.socket.sendall(message("STREAM_DATA", stream_id=13, payload=[1, "x"]))
    assert other.told.get(timeout=10) == (12, {"topic": "plant/a", "payload": [1, "x"]})
    called = other.ask("RUN", 14, resource=3, parameters=["device", "temperature"])
    assert called["payload"] == {"celsius": 23.5, "raw": b"\xff\0"}, called
    assert other.ask("RUN", 15, resource=5, parameters="log", payload={"t": 1.5})["type"] == "OK"
    print("two devices in Python use what the server offers devices")


def check_server(examples, folder):
    accounts = folder + "/accounts"
    with open(os.open(accounts, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("user device secret\nuser other secret\n")
    server = subprocess.Popen(
        [examples + "/iotmp_server", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        + ["--accounts", accounts, "--store", folder + "/store"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        ready = json.loads(server.stdout.readline())
        device = Device(ready["iotmp"])
        base = f"http://{ready['http']}/v3/users/user/devices/device/resources"

        def call(path, body=None, **headers):
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(base + path, data, headers)
            return urllib.request.urlopen(request, timeout=10)

        assert json.load(call("")) == {"temperature": {"fn": 3}, "led": {"fn": 2}}
        value = {"celsius": 23.5, "raw": {"_bytes": "ff00"}}
        assert json.load(call("/temperature")) == value
        for led in (True, -7, 2.25, "text", [1, {"deep": None}], {"_bytes": "00ff"}):
            call("/led", led).close()
            assert device.led == plain(led), (device.led, led)
        assert json.load(call("/led")) == {"in": {"_bytes": "00ff"}}
        try:
            call("/none")
            raise AssertionError("there is no such resource")
        except urllib.error.HTTPError as error:
            assert error.code == 404, error
        with call("/temperature?interval=2", Accept="text/event-stream") as events:
            first = next(line for line in events if line.startswith(b"data: "))
            assert json.loads(first[6:]) == 23.5
            assert list(device.streams.values()) == [{"interval": 2000}], device.streams
        print("a device in Python is described, read, written and followed")
        check_services(device, Device(ready["iotmp"], "other"))
    finally:
        server.send_signal(2)
        assert server.wait(10) == 0


check_vectors()
with tempfile.TemporaryDirectory() as folder:
    check_server(sys.argv[1], folder)

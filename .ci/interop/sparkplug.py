#!/usr/bin/env python3
"""Sparkplug B between the gateway and others, through mosquitto.

    pip install 'pysparkplug==0.6.1'
    python sparkplug.py GATEWAY

GATEWAY is the program of the gateway example. Two parts, on a broker of its own on a free port:

  1. pysparkplug is an edge node with a device: the gateway shows its metrics, writes to them, and sees its
     deaths, the polite one and the one by will.
  2. pysparkplug is a node and a host at once, with the gateway between: it hears what the gateway tells as an
     edge node, asks for births, and its commands go through to the node.

One line for each check; the exit code is 0 where all of them hold.
"""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pysparkplug as sp

WAIT = 30
failed = 0


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    gateway = sys.argv[1]
    # What was started is ended on this way out as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as port:
        foreign_node(gateway, Path(folder), port)
        foreign_host(gateway, Path(folder), port)
    print("all checks hold" if failed == 0 else f"{failed} failed")
    return 1 if failed else 0


# 1. pysparkplug as an edge node

def metric(name, datatype, value, **more):
    return sp.Metric(timestamp=sp.get_current_timestamp(), name=name, datatype=datatype, value=value, **more)


D = sp.DataType
DEVICE = [
    ("int8", D.INT8, -8, "Number", -8), ("int16", D.INT16, -1600, "Number", -1600),
    ("int32", D.INT32, -320000, "Number", -320000), ("int64", D.INT64, -(2**40), "Number", -(2**40)),
    ("uint8", D.UINT8, 200, "Number", 200), ("uint16", D.UINT16, 60000, "Number", 60000),
    ("uint32", D.UINT32, 4000000000, "Number", 4000000000), ("uint64", D.UINT64, 2**53, "Number", 2**53),
    ("float", D.FLOAT, 1.5, "Number", 1.5), ("double", D.DOUBLE, -0.1, "Number", -0.1),
    ("boolean", D.BOOLEAN, True, "Bool", True), ("Inputs/text", D.STRING, "grün", "Str", "grün"),
    ("uuid", D.UUID, "123e4567-e89b-12d3-a456-426614174000", "Str", "123e4567-e89b-12d3-a456-426614174000"),
    ("array", D.INT16_ARRAY, (1, -2), "Str", "[1,-2]"),
]


def foreign_node(gateway, folder, port):
    lines = ['listen = "127.0.0.1:0"', "[[connector]]", 'id = "host"', 'kind = "sparkplug"',
             f'uri = "mqtt://127.0.0.1:{port}"', 'host_id = "scada"', 'groups = ["Plant"]']
    points = [("node.temp", "Number", "Plant/edge?temp"), ("node.absent", "Number", "Plant/edge?absent")]
    points += [(f"dev.{name.split('/')[-1]}", kind, f"Plant/edge/press?{name}") for name, _, _, kind, _ in DEVICE]
    for name, kind, address in points:
        lines += ["[[connector.point]]", f'id = "{name}"', f'kind = "{kind}"', f'cur = "{address}"',
                  f'write = "{address}"']
    config = folder / "host.toml"
    config.write_text("\n".join(lines) + "\n")
    commands = []
    with served(gateway, "--config", str(config), "--no-simulator") as url:
        check("an edge node that was never heard of is down", lambda: has(url, "node.temp", "down"))
        node = edge_node(port, commands)
        check("the node's metric is a point", lambda: becomes(url, "node.temp", 21.5))
        for name, _, _, _, value in DEVICE:
            check(f"{name} is {value}", lambda: becomes(url, f"dev.{name.split('/')[-1]}", value))
        check("a metric that no birth has named is a fault", lambda: has(url, "node.absent", "fault"))
        node.update([metric("temp", D.DOUBLE, 22.0)])
        check("a change shows", lambda: becomes(url, "node.temp", 22))
        for count in range(300):
            node.update_device("press", [metric("int32", D.INT32, count)])
        check("numbers of messages wrap", lambda: becomes(url, "dev.int32", 299))
        check("a value is written to the device", lambda: write(url, "dev.int32", -77))
        check("the device has heard it", lambda: hears(commands, ("press", "int32", -77)))
        check("a value is written to the node", lambda: write(url, "node.temp", 20.5))
        check("the node has heard it", lambda: hears(commands, ("edge", "temp", 20.5)))
        node.deregister("press")
        check("a device that dies is down", lambda: has(url, "dev.int32", "down"))
        check("its node is not", lambda: becomes(url, "node.temp", 22))
        node.disconnect()
        check("a node that says goodbye is down", lambda: has(url, "node.temp", "down"))
        node = edge_node(port, commands)
        check("it comes back", lambda: becomes(url, "node.temp", 21.5))
        lost(node)
        check("a node that is lost is down, by its will", lambda: has(url, "node.temp", "down"))
        node = edge_node(port, commands)
        check("and comes back again", lambda: becomes(url, "dev.boolean", True))
        node.disconnect()


def edge_node(port, commands):
    def heard(who):
        def callback(_node, message):
            for command in message.payload.metrics:
                commands.append((who, command.name, command.value))
                if command.name == "Node Control/Rebirth":
                    again(node)
        return callback

    client = sp.Client()
    rebirth = metric("Node Control/Rebirth", D.BOOLEAN, False)
    node = sp.EdgeNode("Plant", "edge", [rebirth, metric("temp", D.DOUBLE, 21.5)], client=client,
                       cmd_callback=heard("edge"))
    metrics = [metric(name, datatype, value) for name, datatype, value, _, _ in DEVICE]
    node.register(sp.Device("press", metrics, cmd_callback=heard("press")))
    node.connect("127.0.0.1", port=port)
    return node


def again(node):
    """pysparkplug leaves it to its users to answer a request for births."""
    # What it does on a connection, it does again.
    client = node._client
    client._client.on_connect(client._client, None, {}, 0)


def lost(node):
    """Ends the connection without a word."""
    inner = node._client._client
    inner.loop_stop()
    inner._sock.close()


def hears(commands, expected):
    end = time.monotonic() + WAIT
    while expected not in commands:
        if time.monotonic() > end:
            raise AssertionError(f"{commands}")
        time.sleep(0.05)


# 2. pysparkplug as a host

def foreign_host(gateway, folder, port):
    config = folder / "edge.toml"
    config.write_text(f'''
listen = "127.0.0.1:0"
[[connector]]
id = "plant"
kind = "sparkplug"
uri = "mqtt://127.0.0.1:{port}"
groups = ["Plant"]
[[connector.point]]
id = "temp"
kind = "Number"
unit = "°C"
cur = "Plant/edge?temp"
write = "Plant/edge?temp"
[[connector.point]]
id = "boolean"
kind = "Bool"
cur = "Plant/edge/press?boolean"
write = "Plant/edge/press?boolean"
[[sparkplug]]
uri = "mqtt://127.0.0.1:{port}"
group = "Cloud"
node = "gateway"
interval = "20ms"
writable = true
''')
    heard = {kind: [] for kind in ("NBIRTH", "NDEATH", "DBIRTH", "DDATA", "DDEATH")}
    client = sp.Client()

    def topic(kind):
        device = "plant" if kind.startswith("D") else None
        return sp.Topic(message_type=sp.MessageType(kind), group_id="Cloud", edge_node_id="gateway", device_id=device)

    for kind in heard:
        client.subscribe(topic(kind), sp.QoS.AT_LEAST_ONCE,
                         lambda _, message, kind=kind: heard[kind].append(message.payload))
    client.connect("127.0.0.1", port=port)

    def command(kind, *metrics):
        payload = (sp.NCmd if kind == "NCMD" else sp.DCmd)(timestamp=sp.get_current_timestamp(), metrics=metrics)
        client.publish(sp.Message(topic=topic(kind), qos=sp.QoS.AT_MOST_ONCE, retain=False, payload=payload),
                       include_dtypes=True)

    def says(kind, name, value):
        return eventually(lambda: any(
            m.name == name and m.value == value for p in heard[kind][-50:] for m in p.metrics))

    commands = []
    node = edge_node(port, commands)
    with served(gateway, "--config", str(config), "--no-simulator") as url:
        check("a node is born", lambda: eventually(lambda: len(heard["NBIRTH"]) > 0))
        check("with the metrics of a node", lambda: equal(
            sorted(m.name for m in heard["NBIRTH"][0].metrics), ["Node Control/Rebirth", "bdSeq"]))
        check("a connector is a device, and born", lambda: eventually(lambda: len(heard["DBIRTH"]) > 0))
        check("with its points", lambda: equal(
            sorted(m.name for m in heard["DBIRTH"][0].metrics), ["boolean", "temp"]))
        check("the gateway shows the point", lambda: becomes(url, "temp", 21.5))
        for value in (23.5, 24.5, 25.5):
            node.update([metric("temp", D.DOUBLE, value)])
            check(f"{value} is heard, by alias", lambda: says("DDATA", "temp", value))
        command("DCMD", metric("temp", D.DOUBLE, 19.25))
        check("a command goes through to the device", lambda: hears(commands, ("edge", "temp", 19.25)))
        command("DCMD", metric("boolean", D.BOOLEAN, False))
        check("of another type too", lambda: hears(commands, ("press", "boolean", False)))
        before = len(heard["NBIRTH"])
        time.sleep(1.1)
        command("NCMD", metric("Node Control/Rebirth", D.BOOLEAN, True))
        check("births come on request", lambda: eventually(lambda: len(heard["NBIRTH"]) > before))
        check("numbered from 0", lambda: equal(heard["NBIRTH"][-1].seq, 0))
        check("with what is there now", lambda: says("DBIRTH", "temp", 25.5))
        node.disconnect()
        check("a point that is down has no value", lambda: says("DDATA", "temp", None))
    check("a gateway that ends says goodbye", lambda: eventually(lambda: len(heard["NDEATH"]) > 0))
    check("with the number of its birth", lambda: equal(
        heard["NDEATH"][-1].bd_seq_metric.value,
        next(m.value for m in heard["NBIRTH"][-1].metrics if m.name == "bdSeq")))
    client.disconnect()


# The broker and the gateway

@contextmanager
def broker(folder):
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    with process(["mosquitto", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port


@contextmanager
def served(gateway, *arguments):
    """A running gateway's URL, as it prints it."""
    with tempfile.TemporaryFile("w+") as log:
        with process([gateway, *arguments], stdout=subprocess.PIPE, stderr=log, text=True) as child:
            for line in child.stdout:
                if line.startswith("Console"):
                    break
            else:
                log.seek(0)
                raise RuntimeError(f"the gateway does not start: {log.read()}")
            yield line.split()[1]


@contextmanager
def process(command, **options):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def point(url, name):
    with urllib.request.urlopen(f"{url}v1/points/{name}", timeout=WAIT) as answer:
        return json.load(answer)


def write(url, name, value):
    request = urllib.request.Request(f"{url}v1/points/{name}/write", json.dumps({"val": value}).encode(),
                                     {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=WAIT) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{error}: {error.read().decode()}") from None


def until(url, name, holds):
    """The point once it is as wanted."""
    end = time.monotonic() + WAIT
    while True:
        now = point(url, name)
        if holds(now):
            return now
        if time.monotonic() > end:
            raise AssertionError(f"it is {now}")
        time.sleep(0.05)


def becomes(url, name, value):
    # In Python True is 1, in JSON it is not.
    same = lambda val: isinstance(val, bool) == isinstance(value, bool) and val == value
    until(url, name, lambda now: now["curStatus"] == "ok" and same(now["curVal"]))


def has(url, name, status):
    return until(url, name, lambda now: now["curStatus"] == status).get("curErr")


# Checks

def check(name, body):
    global failed
    try:
        detail = body()
        print(f"ok    {name}{f': {detail}' if isinstance(detail, str) else ''}", flush=True)
    except Exception as error:
        failed += 1
        print(f"FAIL  {name}: {type(error).__name__} {error}", flush=True)


def eventually(holds):
    end = time.monotonic() + WAIT
    while not holds():
        if time.monotonic() > end:
            raise AssertionError("it does not come")
        time.sleep(0.05)


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"{actual}, not {expected}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())

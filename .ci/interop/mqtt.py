#!/usr/bin/env python3
"""MQTT with mosquitto as the broker and paho-mqtt as the other client.

    pip install 'paho-mqtt>=2,<3'; apt install mosquitto openssl
    python mqtt.py FOLDER [RESTARTS]

FOLDER has the built examples mqtt_bridge and gateway.

  1. The bridge by TCP, TLS with client certificates, WebSocket and secure WebSocket, in both versions: what
     paho publishes, retained before and live, appears in the document; bad certificates are refused.
  2. The gateway: points from topics, faults of single points, a last will, writes that paho sees and
     confirms, and what the gateway publishes.
  3. A broker that is restarted RESTARTS times (20) while it hands on what paho has published, at QoS 1 and
     2: the bridge prints each message once. It is ended by SIGTERM, at which mosquitto saves its sessions. A
     paho client with the same session options subscribes beside it; what that is told twice is printed, to
     show what the broker sends again.
  4. The same with SIGKILL, at which mosquitto saves nothing and goes back to what it saved last: it may lose
     what it has acknowledged and send as new what was acknowledged to it. Counted for both clients; held is
     that messages flow again after each.

One line for each check; the exit code is 0 where all of them hold.
"""

import collections
import json
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

failed = 0


def check(what, holds, seen=""):
    global failed
    failed += not holds
    print(f"{'ok  ' if holds else 'FAIL'} {what}" + ("" if holds else f": {seen}"), flush=True)


def until(holds, limit=20.0):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return False


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def stop(child, limit=10):
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(limit)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def running(command, **options):
    child = subprocess.Popen(command, **options)
    try:
        yield child
    finally:
        stop(child)


class Broker:
    """mosquitto with a listener of each kind."""

    def __init__(self, folder, **extra):
        self.folder = Path(folder)
        self.ports = {kind: free_port() for kind in ("tcp", "tls", "ws", "wss")}
        self.child = None
        certificates(self.folder)
        cert = "\n".join(
            [
                f"cafile {folder}/ca.pem",
                f"certfile {folder}/server.pem",
                f"keyfile {folder}/server.key",
            ]
        )
        lines = [
            "per_listener_settings false",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            "log_type error",
            "user root",
            *(f"{name} {value}" for name, value in extra.items()),
            f"listener {self.ports['tcp']} 127.0.0.1",
            f"listener {self.ports['tls']} 127.0.0.1",
            cert,
            "require_certificate true",
            f"listener {self.ports['ws']} 127.0.0.1",
            "protocol websockets",
            f"listener {self.ports['wss']} 127.0.0.1",
            "protocol websockets",
            cert,
        ]
        self.conf = self.folder / "mosquitto.conf"
        self.conf.write_text("\n".join(lines) + "\n")

    def start(self):
        log = open(self.folder / "mosquitto.log", "a")
        command = ["mosquitto", "-c", str(self.conf)]

        def up():
            # It does not get a port at once that it has just left.
            if self.child is None or self.child.poll() is not None:
                self.child = subprocess.Popen(command, stdout=log, stderr=log)
                time.sleep(0.05)
            return all(reachable(port) for port in self.ports.values())

        if not until(up, 20):
            raise RuntimeError((self.folder / "mosquitto.log").read_text())

    def stop(self):
        if self.child is not None:
            self.child.terminate()
            self.child.wait(20)
            self.child = None

    def kill(self):
        self.child.kill()
        self.child.wait()
        self.child = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def url(self, kind):
        scheme = {"tcp": "mqtt", "tls": "mqtts"}.get(kind, kind)
        return f"{scheme}://localhost:{self.ports[kind]}"


def reachable(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def certificates(folder):
    """An authority, a server and a client signed by it, and another client that is not."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    def key(name):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.ec")
        openssl("pkcs8", "-topk8", "-nocrypt", "-in", f"{name}.ec", "-out", f"{name}.key")

    for authority in ("ca", "other"):
        key(authority)
        openssl(
            *f"req -x509 -new -key {authority}.key -out {authority}.pem -days 2".split(),
            *("-subj", f"/CN={authority}"),
            *("-addext", "basicConstraints=critical,CA:TRUE"),
        )
    for name, authority in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        key(name)
        openssl(*f"req -new -key {name}.key -out {name}.csr -subj /CN={name}".split())
        (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl(
            *f"x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key".split(),
            *f"-CAcreateserial -out {name}.pem -days 2 -extfile ext".split(),
        )
    for path in folder.iterdir():
        path.chmod(0o644)
    folder.chmod(0o755)


@contextmanager
def client(port, name, **options):
    """A paho client on TCP, with its messages in a queue."""
    seen = queue.Queue()
    it = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, **options)
    it.on_message = lambda _client, _data, message: seen.put(message)
    it.seen = seen
    it.reconnect_delay_set(1, 1)
    it.max_queued_messages_set(0)
    it.connect("127.0.0.1", port, keepalive=10)
    it.loop_start()
    if not until(it.is_connected):
        raise RuntimeError("paho does not connect")
    try:
        yield it
    finally:
        it.disconnect()
        it.loop_stop()


@contextmanager
def bridge(folder, *words):
    """Our bridge; gives its URL and its lines."""
    command = [str(folder / "mqtt_bridge"), "--listen", "127.0.0.1:0", *words]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        line = child.stdout.readline()
        url = line.split()[-1] if "listening" in line else None
        lines, errors = [], []
        for stream, into in ((child.stdout, lines), (child.stderr, errors)):
            gather = lambda stream=stream, into=into: [into.append(line) for line in stream]
            threading.Thread(target=gather, daemon=True).start()
        yield url, lines, errors


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def document(url):
    try:
        return get(url + "/snapshot")
    except urllib.error.HTTPError:
        return {}


# 1. The bridge on every transport


def transports(folder, broker):
    at = broker.folder
    for kind in ("tcp", "tls", "ws", "wss"):
        for version in ("3.1.1", "5"):
            words = [broker.url(kind), "site/#", "--mqtt-version", version]
            if kind in ("tls", "wss"):
                words += ["--ca", f"{at}/ca.pem"]
            if kind == "tls":
                words += ["--cert", f"{at}/client.pem", "--key", f"{at}/client.key"]
            with client(broker.ports["tcp"], "other") as other:
                other.publish("site/kept", "[1,2]", qos=1, retain=True).wait_for_publish(5)
                with bridge(folder, *words) as (url, _, errors):
                    kept = until(lambda: document(url).get("site/kept") == [1, 2])
                    check(f"{kind} {version}: a retained message comes", kept, errors)
                    text = f"{kind} {version}"
                    for qos in (0, 1, 2):
                        other.publish(f"site/{qos}", text, qos=qos).wait_for_publish(5)
                    other.publish("elsewhere", text).wait_for_publish(5)
                    expected = {"site/kept": [1, 2], **{f"site/{qos}": text for qos in (0, 1, 2)}}
                    live = until(lambda: document(url) == expected)
                    check(f"{kind} {version}: QoS 0, 1 and 2 come", live, document(url))
    for what, words in (
        ("an unknown authority", ["--ca", f"{at}/other.pem"]),
        ("no client certificate", ["--ca", f"{at}/ca.pem"]),
        ("a stranger's certificate", ["--ca", f"{at}/ca.pem", "--cert", f"{at}/stranger.pem", "--key", f"{at}/stranger.key"]),
    ):
        with bridge(folder, broker.url("tls"), *words) as (_, _, errors):
            refused = until(lambda: any("mqtt_bridge:" in line for line in errors), 10)
            connected = any("connected" in line for line in errors)
            check(f"tls: {what} is refused", refused and not connected, errors)


# 2. The gateway


def gateway(folder, broker):
    config = broker.folder / "gateway.toml"
    config.write_text(
        f"""
listen = "127.0.0.1:0"

[tuning.quick]
stale_time = "2s"

[[connector]]
id = "site"
kind = "mqtt"
uri = "{broker.url('tcp')}"
version = "5"
client_id = "gateway"
availability = {{ topic = "plc/status" }}

[[connector.point]]
id = "site.temp"
kind = "Number"
unit = "°C"
cur = "plc/state?value=/t"

[[connector.point]]
id = "site.bad"
kind = "Number"
cur = "plc/text"

[[connector.point]]
id = "site.setpoint"
kind = "Number"
cur = "plc/setpoint"
write = "plc/setpoint/set?payload={{\\"sp\\":{{value}}}}&qos=2&confirm=plc/setpoint"

[[publish]]
id = "up"
kind = "mqtt"
uri = "{broker.url('tcp')}"
prefix = "gw/1"
topics = ["plant"]
points = ["plant"]
snapshot_time = "500ms"

[[connector.point]]
id = "site.stale"
kind = "Number"
tuning = "quick"
cur = "plc/once"
"""
    )
    with client(broker.ports["tcp"], "plc") as plc, client(broker.ports["tcp"], "cloud") as cloud:
        plc.subscribe("plc/setpoint/set", qos=2)
        cloud.subscribe("gw/1/#", qos=1)

        def answers():
            while (message := plc.seen.get()) is not None:
                if message.topic == "plc/setpoint/set":
                    plc.publish("plc/setpoint", str(json.loads(message.payload)["sp"]), qos=1)

        threading.Thread(target=answers, daemon=True).start()
        command = [str(folder / "gateway"), "--no-simulator", "--config", str(config)]
        with running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
            url = next(line.split()[-1] for line in child.stdout if "http://" in line)
            url = url.rstrip("/")

            def point(name):
                return get(f"{url}/v1/points/{name}")

            def is_ok():
                return get(f"{url}/v1/connectors")[0]["connStatus"] == "ok"

            check("gateway: the connector is ok", until(is_ok))
            plc.publish("plc/state", '{"t":21.5}', qos=1)
            plc.publish("plc/text", "no number", qos=1)
            plc.publish("plc/once", "1", qos=1)
            temp = until(lambda: point("site.temp").get("curVal") == 21.5)
            check("gateway: a value comes", temp, point("site.temp"))
            bad = until(lambda: point("site.bad")["curStatus"] == "fault")
            check("gateway: a bad payload is its point's fault", bad, point("site.bad"))
            stale = until(lambda: point("site.stale")["curStatus"] == "stale", 10)
            check("gateway: what is not told again goes stale", stale, point("site.stale"))
            published(cloud, url, plc)
            observed(url, plc)
            body = json.dumps({"val": 19.5}).encode()
            request = urllib.request.Request(f"{url}/v1/points/site.setpoint/write", body)
            request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=10) as answer:
                check("gateway: a write is confirmed", answer.status == 200, answer.status)
            back = until(lambda: point("site.setpoint").get("curVal") == 19.5)
            check("gateway: what was written comes back", back, point("site.setpoint"))
            will(broker)
            down = until(lambda: point("site.temp")["curStatus"] == "down")
            check("gateway: a last will takes its points down", down, point("site.temp"))
            plc.publish("plc/status", "online", qos=1)
            up = until(lambda: point("site.temp")["curStatus"] == "ok")
            check("gateway: and online brings them back", up, point("site.temp"))
            broker.stop()
            gone = until(lambda: get(f"{url}/v1/connectors")[0]["connStatus"] == "down")
            check("gateway: a broker that is gone is down", gone)
            broker.start()
            check("gateway: and ok when it is back", until(is_ok, 30))
            until(plc.is_connected)
            plc.publish("plc/state", '{"t":22}', qos=1)
            again = until(lambda: point("site.temp").get("curVal") == 22)
            check("gateway: data flows again", again, point("site.temp"))
        plc.seen.put(None)
        latest = {}
        until(lambda: take(cloud, latest).get("gw/1/status") == b"offline", 5)
        offline = latest.get("gw/1/status")
        check("publish: the gateway says farewell", offline == b"offline", offline)


def take(cloud, latest, patches=None):
    """The last message of each topic, and all patches."""
    while not cloud.seen.empty():
        message = cloud.seen.get()
        latest[message.topic] = message.payload
        if patches is not None and message.topic.endswith("/patch"):
            patches.append(json.loads(message.payload))
    return latest


def published(cloud, url, plc):
    """What the gateway publishes is what its own subscribers get."""
    latest, patches = {}, []
    until(lambda: "gw/1/points/site.temp" in take(cloud, latest, patches))
    check("publish: the gateway says that it is there", latest.get("gw/1/status") == b"online")
    row = json.loads(latest["gw/1/points/site.temp"])
    check("publish: a row of its own", row == document(f"{url}/v1/topics/plant")["site.temp"], row)
    plc.publish("plc/state", '{"t":7}', qos=1)

    def both():
        whole = json.loads(take(cloud, latest, patches).get("gw/1/plant", b"{}"))
        return whole.get("document") == document(f"{url}/v1/topics/plant") and any(
            operation.get("value") == 7 or operation.get("value", {}) and "7" in str(operation["value"])
            for patch in patches
            for operation in patch["patch"]
        )

    check("publish: patches, and a snapshot that follows", until(both), (latest, patches))
    revisions = [int(patch["revision"].split("#")[1]) for patch in patches]
    check("publish: patches in their order", revisions == sorted(set(revisions)), revisions)


def observed(url, plc):
    """What is no point can be observed by the connector's session, over HTTP."""
    with urllib.request.urlopen(f"{url}/v1/connectors/site/observe?filter=free/%2B", timeout=20) as stream:
        plc.publish("free/1", '{"a":1}', qos=1)
        line = next(line for line in stream if line.startswith(b"data: "))
    message = json.loads(line[6:])
    holds = (message["topic"], message["payload"], message["qos"]) == ("free/1", '{"a":1}', 1)
    check("gateway: a topic that is no point is observed over HTTP", holds, message)


def will(broker):
    """A device that is lost without a farewell."""
    dying = paho.Client(CallbackAPIVersion.VERSION2, client_id="dying")
    dying.will_set("plc/status", "offline", qos=1)
    dying.connect("127.0.0.1", broker.ports["tcp"])
    dying.loop_start()
    until(dying.is_connected)
    dying.loop_stop()
    dying.socket().shutdown(socket.SHUT_RDWR)


# 3. A broker that is restarted


@contextmanager
def beside(broker, name, version):
    """A paho client with the session options of the bridge; gives the numbers it is told."""
    told, topic, own = [], f"{name}/#", f"{name}-beside"
    if version == "5":
        it = paho.Client(CallbackAPIVersion.VERSION2, client_id=own, protocol=paho.MQTTv5)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval, properties.ReceiveMaximum = 3600, 256
        options = {"clean_start": False, "properties": properties}
    else:
        it = paho.Client(CallbackAPIVersion.VERSION2, client_id=own, clean_session=False)
        options = {}
    it.on_message = lambda _client, _data, message: told.append(int(message.payload))

    def connected(client, _data, flags, _reason, _properties):
        if not flags.session_present:
            client.subscribe(topic, qos=2)

    it.on_connect = connected
    it.reconnect_delay_set(1, 1)
    it.connect("127.0.0.1", broker.ports["tcp"], **options)
    it.loop_start()
    try:
        yield told
    finally:
        it.disconnect()
        it.loop_stop()


@contextmanager
def soak(folder, broker, name, version):
    """The bridge and paho beside it, both subscribed; gives what each is told, and errors."""
    topic = f"{name}/#"
    words = [broker.url("tcp"), topic, "--mqtt-version", version, "--qos", "2", "--print"]
    words += ["--client-id", name, "--retry-max", "500"]
    with bridge(folder, *words) as (_, lines, errors), beside(broker, name, version) as other:
        numbers = lambda: [json.loads(line)["payload"] for line in list(lines)]
        with client(broker.ports["tcp"], f"{name}-begin") as source:
            def begun():
                source.publish(f"{name}/begin", "-1", qos=1).wait_for_publish(5)
                return -1 in numbers() and -1 in other

            check(f"{name}: subscribed", until(begun), errors)
        yield numbers, other, errors


def burst(broker, name, total, end):
    """Publishes a hundred messages and ends the broker while it hands them on.

    The publisher waits for its acknowledgements, so that it is not the one who doubles.
    """
    with client(broker.ports["tcp"], f"{name}-source") as source:
        sent = []
        for number in range(total, total + 100):
            qos = 1 + number % 2
            sent.append(source.publish(f"{name}/{qos}", str(number), qos=qos))
        for message in sent:
            message.wait_for_publish(20)
        end()
    broker.start()
    return total + len(sent)


def twice(numbers):
    counts = collections.Counter(number for number in numbers if number >= 0)
    return sorted(number for number, times in counts.items() if times > 1)


def restarts(folder, broker, count):
    """What the broker has taken comes once, however often it goes away while it hands it on."""
    for version in ("3.1.1", "5"):
        name = f"soak-{version}"
        with soak(folder, broker, name, version) as (numbers, other, errors):
            total = 0
            for turn in range(count):
                total = burst(broker, name, total, broker.stop)
                # In every second round the bridge is away and there is a backlog.
                if turn % 2 == 0:
                    until(lambda: total - 1 in numbers())
            until(lambda: len(set(numbers())) > total, 60)
            until(lambda: len(set(other)) > total, 60)
            time.sleep(1)
            missing = sorted(set(range(total)) - set(numbers()))
            what = f"{name}: {total} messages over {count} restarts"
            ups = sum("connected" in line for line in errors)
            doubled = twice(numbers())
            check(f"{what} and {ups} connections, none lost", not missing, (len(missing), missing[:10]))
            check(f"{what}, none doubled", not doubled, (len(doubled), doubled[:10]))
            print(f"     paho beside it was told {len(twice(other))} of them more than once", flush=True)


# 4. A broker that is killed


def kills(folder, broker, count):
    for version in ("3.1.1", "5"):
        name = f"kill-{version}"
        with soak(folder, broker, name, version) as (numbers, other, _):
            # So that there are sessions to go back to.
            total = burst(broker, name, 0, broker.stop)
            flows = 0
            for turn in range(count):
                total = burst(broker, name, total, broker.kill)
                marker = -2 - turn
                with client(broker.ports["tcp"], f"{name}-marker") as source:
                    def heard():
                        source.publish(f"{name}/1", str(marker), qos=0)
                        return marker in numbers()

                    flows += until(heard)
            check(f"{name}: messages flow after each of {count} kills", flows == count, flows)
            for who, told in (("the bridge", numbers()), ("paho", list(other))):
                lost = len(set(range(total)) - set(told))
                print(f"     {who}: {lost} of {total} lost, {len(twice(told))} told more than once", flush=True)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) == 3 else 20
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as at, Broker(at) as broker:
        for part in (transports, gateway):
            part(folder, broker)
        restarts(folder, broker, count)
        kills(folder, broker, 5)
    print("all checks hold" if failed == 0 else f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""What does a message cost on its way from one broker to another, at QoS 1?

    apt install mosquitto mosquitto-clients; cargo build --release -p pointstream-examples --example gateway
    python3 benches/mqtt.py target/release/examples/gateway [RATE [SECONDS]]

Two mosquitto, A and B. The same load, RATE (3000) numbers a second for SECONDS (10) on 1,000 topics, goes from A to
B by A's own bridge, then by the gateway: a message becomes a point, the point's row goes to B. Counted is the
processor time of the process that carries the messages, which takes each in and passes it on, with the acknowledgements of
both: of A with its bridge, and of the gateway. Beside it stands what the bridge alone takes: A with it, less A without.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOPICS = 1000


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def cpu(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def mosquitto(folder, name, port, extra=""):
    conf = Path(folder) / f"{name}.conf"
    conf.write_text(f"user root\nallow_anonymous true\nlog_type none\nset_tcp_nodelay true\nmax_queued_messages 0\nlistener {port} 127.0.0.1\n{extra}")
    child = subprocess.Popen(["mosquitto", "-c", str(conf)], stderr=subprocess.DEVNULL)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return child
        except OSError:
            time.sleep(0.05)


def publish(port, rate, seconds):
    """Numbers at QoS 1, acknowledged a batch at a time."""
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.sendall(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04load")
    assert link.recv(4)[3] == 0
    batch, sent, start = rate // 100, 0, time.monotonic()
    while sent < rate * seconds:
        packets = bytearray()
        for at in range(sent, sent + batch):
            topic, payload = f"in/{at % TOPICS}".encode(), str(at).encode()
            body = len(topic).to_bytes(2, "big") + topic + (at % 65535 + 1).to_bytes(2, "big") + payload
            packets += bytes((0x32, len(body))) + body
        link.sendall(packets)
        acks = 0
        while acks < 4 * batch:
            acks += len(link.recv(65536))
        sent += batch
        time.sleep(max(0, start + sent / rate - time.monotonic()))
    link.close()
    return sent


def run(gateway, rate, seconds, way):
    with tempfile.TemporaryDirectory() as folder:
        a, b = free_port(), free_port()
        children = [mosquitto(folder, "b", b)]
        try:
            bridge = f"connection up\naddress 127.0.0.1:{b}\ntopic in/# out 1\nbridge_protocol_version mqttv311\n"
            broker = mosquitto(folder, "a", a, bridge if way == "bridge" else "")
            children.append(broker)
            carrier = broker
            count = Path(folder) / "count"
            topic = "gw/points/#" if way == "gateway" else "in/#"
            command = ["mosquitto_sub", "-p", str(b), "-t", topic, "-q", "0", "-R", "-F", "x"]
            with open(count, "w") as out:
                children.append(subprocess.Popen(command, stdout=out))
            if way == "gateway":
                config = Path(folder) / "gateway.toml"
                points = "".join(
                    f'[[connector.point]]\nid = "a.p{n}"\nkind = "Number"\ncur = "in/{n}"\n' for n in range(TOPICS)
                )
                config.write_text(
                    f'[[connector]]\nid = "a"\nkind = "mqtt"\nuri = "mqtt://127.0.0.1:{a}"\n{points}'
                    f'[[publish]]\nid = "b"\nkind = "mqtt"\nuri = "mqtt://127.0.0.1:{b}"\nprefix = "gw"\npoints = ["plant"]\n'
                )
                command = [gateway, "--no-simulator", "--config", str(config), "--listen", "127.0.0.1:0"]
                carrier = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                children.append(carrier)
            time.sleep(4)
            before, lines = cpu(carrier), count.stat().st_size // 2
            start = time.monotonic()
            sent = publish(a, rate, seconds)
            took = time.monotonic() - start
            time.sleep(2)
            used, arrived = cpu(carrier) - before, count.stat().st_size // 2 - lines
            return sent, arrived, used, took
        finally:
            for child in reversed(children):
                child.terminate()
                child.wait()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    rate, seconds = (int(text) for text in (sys.argv[2:] + ["3000", "10"][len(sys.argv) - 2 :])[:2])
    rows = {way: run(sys.argv[1], rate, seconds, way) for way in ("none", "bridge", "gateway")}
    base = rows["none"][2] / rows["none"][0]
    print("| way | sent | arrived | CPU s | µs a message | of which the bridge alone |\n|---|---|---|---|---|---|")
    for way, (sent, arrived, used, took) in rows.items():
        whole, own = (cost * 1e6 for cost in (used / sent, used / sent - base))
        beside = f"{own:.1f}" if way == "bridge" else "–"
        print(f"| {way} | {sent} in {took:.1f} s | {arrived} | {used:.2f} | {whole:.1f} | {beside} |")


if __name__ == "__main__":
    main()

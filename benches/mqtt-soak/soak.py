#!/usr/bin/env python3
"""Clients of MQTT beside one another while mosquitto is restarted: what each is told twice or not at all.

    cargo build --release --manifest-path benches/mqtt-soak/Cargo.toml
    python benches/mqtt-soak/soak.py [RESTARTS]     (100; needs mosquitto, and paho-mqtt >= 2)

All clients subscribe to the same topics at QoS 2 with a session that lasts, and connect again 200 ms after a
loss. In each round a publisher hands a hundred messages of QoS 1 and 2 to the broker, waits until they are
acknowledged, and the broker is ended by SIGTERM, at which it saves its sessions. In every second round the
clients are waited for first, so that some restarts find them busy and some away.
"""

import collections
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / ".ci" / "interop"))
import mqtt  # noqa: E402

PROGRAM = "pointstream-mqtt-soak"
PEERS = ("pointstream", "rumqttc", "rumqttc-next")


class Peer:
    """A subscriber in a process of its own."""

    def __init__(self, program, name, version, port, topic):
        command = [program, name, version, str(port), f"{name}-{version}", topic]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.told, self.said = [], []
        for stream, take in (
            (self.child.stdout, lambda line: self.told.append(int(line))),
            (self.child.stderr, self.said.append),
        ):
            read = lambda stream=stream, take=take: [take(line) for line in stream]
            threading.Thread(target=read, daemon=True).start()

    def stop(self):
        self.child.terminate()
        self.child.wait(10)

    def connections(self):
        return sum(line.strip() == "connected" for line in self.said)


def run(broker, program, version, restarts):
    name = f"soak-{version}"
    topic = f"{name}/#"
    peers = {peer: Peer(program, peer, version, broker.ports["tcp"], topic) for peer in PEERS}
    try:
        with mqtt.beside(broker, name, version) as paho:
            told = {**{peer: it.told for peer, it in peers.items()}, "paho": paho}
            with mqtt.client(broker.ports["tcp"], f"{name}-begin") as source:
                def begun():
                    source.publish(f"{name}/begin", "-1", qos=1).wait_for_publish(5)
                    return all(-1 in numbers for numbers in told.values())

                if not mqtt.until(begun):
                    sys.exit("not all subscribe")
            total = 0
            for turn in range(restarts):
                total = mqtt.burst(broker, name, total, broker.stop)
                if turn % 2 == 0:
                    mqtt.until(lambda: all(total - 1 in numbers for numbers in told.values()), 5)
            everything = set(range(total))
            mqtt.until(lambda: all(everything <= set(numbers) for numbers in told.values()), 60)
            time.sleep(1)
            print(f"MQTT {version}: {total} messages, {restarts} restarts")
            for peer, numbers in told.items():
                counts = collections.Counter(number for number in numbers if number >= 0)
                twice = sum(times > 1 for times in counts.values())
                lost = len(everything - set(counts))
                ups = peers[peer].connections() if peer in peers else "-"
                print(f"  {peer:14} lost {lost:5}  told more than once {twice:5}  connections {ups}", flush=True)
            for peer, it in peers.items():
                ends = collections.Counter(line.strip() for line in it.said if line.strip() != "connected")
                for end, times in ends.most_common(4):
                    print(f"     {peer}: {times} x {end}")
    finally:
        for peer in peers.values():
            peer.stop()


def main():
    restarts = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    own = Path(__file__).parent / "target"
    program = Path(os.environ.get("CARGO_TARGET_DIR", own)) / "release" / PROGRAM
    for version in ("3.1.1", "5"):
        with tempfile.TemporaryDirectory() as at, mqtt.Broker(at) as broker:
            run(broker, str(program), version, restarts)


if __name__ == "__main__":
    main()

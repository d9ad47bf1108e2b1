#!/usr/bin/env python3
"""Modbus between the gateway and others.

    pip install 'pymodbus>=3.8,<4'
    python modbus.py GATEWAY

GATEWAY is the program of the gateway example. Three parts, each on ports that are free:

  1. pymodbus is the server (modbus_server.py): the gateway reads its points, writes to it, and shows
     the address that does not exist as a fault.
  2. pymodbus is a client of the gateway's simulated plant.
  3. mbpoll (libmodbus) is another.

One line for each check; the exit code is 0 where all of them hold.
"""

import json
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from pymodbus.client import ModbusTcpClient

WAIT = 20
HERE = Path(__file__).resolve().parent
failed = 0


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    gateway = sys.argv[1]
    # What was started is ended on this way out as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as folder:
        of_our_client(gateway, Path(folder))
    with served(gateway, "--listen", "127.0.0.1:0") as (url, devices):
        pymodbus_client(url, devices)
        mbpoll_client(url, devices)
    print("all checks hold" if failed == 0 else f"{failed} failed")
    return 1 if failed else 0


# 1. pymodbus as a server

POINTS = {
    # id: (kind, address, what it shows)
    "coil.on": ("Bool", "coil:00004", True),
    "coil.off": ("Bool", "coil:#1", False),
    "discrete.on": ("Bool", "discrete:10002", True),
    "input.u2": ("Number", "input:30020", 191),
    "input.scaled": ("Number", "input:30003:u2:/10 + 1", 3.1),
    "holding.u2": ("Number", "holding:40008", 7),
    "holding.f4": ("Number", "holding:40011:f4", 1.5),
    "holding.f4lew": ("Number", "holding:#12:f4lew", 1.5),
    "holding.f4le": ("Number", "holding:#14:f4le", 1.5),
    "holding.s2": ("Number", "holding:#16:s2", -5),
    "holding.s8": ("Number", "holding:#17:s8", -(2**63)),
    "holding.f8": ("Number", "holding:#21:f8", 3.125),
    "holding.bit": ("Bool", "holding:40004:bit:1", True),
}
WRITES = {
    # id: (kind, address, what is written, register, what it then holds)
    "write.u2": ("Number", "holding:#30:u2", 54321, 30, [54321]),
    "write.scaled": ("Number", "holding:#31:s2:/10", -21.5, 31, [0x10000 - 215]),
    "write.f4": ("Number", "holding:#32:f4", 1.5, 32, [0x3FC0, 0]),
    "write.f4le": ("Number", "holding:#34:f4le", 1.5, 34, [0, 0xC03F]),
    "write.f8": ("Number", "holding:#36:f8", 3.125, 36, [0x4009, 0, 0, 0]),
    "write.bit": ("Bool", "holding:#40:bit:3", True, 40, [8]),
    "write.coil": ("Bool", "coil:#1", True, None, None),
}


def of_our_client(gateway, folder):
    port = free_port()
    config = folder / "interop.toml"
    config.write_text(configuration(port))
    with server(port), served(gateway, "--config", str(config), "--no-simulator") as (url, _):
        for point, (_, _, expected) in POINTS.items():
            check(f"{point} shows {expected}", lambda: becomes(url, point, expected))
        check("an address that does not exist is a fault", lambda: faulty(url, "absent"))
        for point, (_, _, value, register, words) in WRITES.items():
            check(f"{point} takes {value}", lambda: write(url, point, value))
            check(f"{point} shows {value}", lambda: becomes(url, point, value))
        with ModbusTcpClient("127.0.0.1", port=port) as client:
            for point, (_, _, _, register, words) in WRITES.items():
                if register is not None:
                    check(f"{point} has arrived", lambda: equal(
                        client.read_holding_registers(register, count=len(words), device_id=1).registers, words))
            check("write.coil has arrived", lambda: equal(
                client.read_coils(0, count=3, device_id=1).bits[:3], [True, True, False]))
            client.write_register(7, 4711, device_id=1)
        check("holding.u2 follows the device", lambda: becomes(url, "holding.u2", 4711))


def configuration(port):
    lines = ["listen = \"127.0.0.1:0\"", "[tuning.default]", "poll_time = \"200ms\"",
             "[[connector]]", "id = \"peer\"", "kind = \"modbus\"",
             f"uri = \"modbus-tcp://127.0.0.1:{port}\"", "unit = 1"]
    points = [(point, kind, address, False) for point, (kind, address, _) in POINTS.items()]
    points += [(point, of[0], of[1], True) for point, of in WRITES.items()]
    points.append(("absent", "Number", "holding:#2000", False))
    for point, kind, address, writable in points:
        lines += ["[[connector.point]]", f"id = \"{point}\"", f"kind = \"{kind}\"", f"cur = \"{address}\""]
        lines += [f"write = \"{address}\""] if writable else []
    return "\n".join(lines) + "\n"


@contextmanager
def server(port):
    command = [sys.executable, str(HERE / "modbus_server.py"), str(port)]
    with process(command, stdout=subprocess.PIPE, text=True) as child:
        line = child.stdout.readline()
        if "listening" not in line:
            raise RuntimeError(f"the server does not start: {line}")
        yield


# 2. pymodbus as a client

def pymodbus_client(url, devices):
    host, port = devices["ahu"]
    with ModbusTcpClient(host, port=port) as client:
        setpoint = lambda: client.read_holding_registers(0, count=1, device_id=1)
        check("pymodbus reads registers", lambda: near(
            client.read_input_registers(0, count=4, device_id=1).registers[3] / 10, shown(url, "ahu.supplyTemp"), 5))
        check("pymodbus reads a coil", lambda: equal(
            client.read_coils(0, count=1, device_id=1).bits[0], shown(url, "ahu.enable")))
        check("pymodbus reads a discrete input", lambda: equal(
            client.read_discrete_inputs(1, count=1, device_id=1).bits[0], shown(url, "ahu.doorOpen")))
        check("pymodbus writes a register (06)", lambda: equal(
            client.write_register(0, 225, device_id=1).isError(), False))
        check("the setpoint is read back", lambda: equal(setpoint().registers, [225]))
        check("the gateway shows it", lambda: becomes(url, "ahu.tempSetpoint", 22.5))
        check("pymodbus writes registers (16)", lambda: equal(
            client.write_registers(3, list(struct.unpack(">2H", struct.pack(">f", 62.5))), device_id=1).isError(), False))
        check("the gateway shows the float", lambda: becomes(url, "ahu.fanSpeedLimit", 62.5))
        check("pymodbus writes a coil (05)", lambda: equal(client.write_coil(0, False, device_id=1).isError(), False))
        check("the gateway shows it off", lambda: becomes(url, "ahu.enable", False))
        check("pymodbus writes coils (15)", lambda: equal(client.write_coils(0, [True], device_id=1).isError(), False))
        check("the gateway shows it on", lambda: becomes(url, "ahu.enable", True))
        check("the gateway writes, pymodbus reads it", lambda: (
            write(url, "ahu.tempSetpoint", 21.0), equal(setpoint().registers, [210])))
        for name, ask, code in (
            ("an absent register is exception 2", lambda: client.read_holding_registers(5000, count=1, device_id=1), 2),
            ("a range past the end is exception 2", lambda: client.read_holding_registers(0, count=125, device_id=1), 2),
            ("a write to an absent register is exception 2", lambda: client.write_register(5000, 1, device_id=1), 2),
            ("a function that is not spoken is exception 1", lambda: client.read_fifo_queue(
                address=0, device_id=1), 1),
            ("an absent unit is exception 11", lambda: client.read_holding_registers(0, count=1, device_id=9), 11),
        ):
            check(name, lambda: equal(ask().exception_code, code))
    host, port = devices["meter"]
    with ModbusTcpClient(host, port=port) as client:
        check("a double in four registers", lambda: near(
            struct.unpack(">d", struct.pack(">4H", *client.read_input_registers(22, count=4, device_id=2).registers))[0],
            shown(url, "meter.energy"), 1))


# 3. mbpoll as a client

def mbpoll_client(url, devices):
    # Types: 0 coil, 1 discrete input, 3 input register, 4 holding register.
    ahu, meter = devices["ahu"], devices["meter"]
    check("mbpoll reads an input register", lambda: near(
        int(mbpoll(ahu, 1, 3, 0, "-c", "4")[3]) / 10, shown(url, "ahu.supplyTemp"), 5))
    check("mbpoll reads a float, high word first", lambda: near(
        float(mbpoll(meter, 2, "3:float", 0, "-B")[0]), shown(url, "meter.voltageL1"), 20))
    check("mbpoll reads a coil", lambda: equal(mbpoll(ahu, 1, 0, 0)[0], "1"))
    check("mbpoll reads discrete inputs", lambda: equal(
        mbpoll(ahu, 1, 1, 0, "-c", "2")[1], str(int(shown(url, "ahu.doorOpen")))))
    check("mbpoll writes a register", lambda: mbpoll(ahu, 1, 4, 0, value="235"))
    check("the gateway shows it", lambda: becomes(url, "ahu.tempSetpoint", 23.5))
    check("mbpoll reads it back", lambda: equal(mbpoll(ahu, 1, 4, 0)[0], "235"))
    check("mbpoll writes a coil", lambda: mbpoll(ahu, 1, 0, 0, value="0"))
    check("the gateway shows it off", lambda: becomes(url, "ahu.enable", False))
    check("mbpoll writes it on again", lambda: mbpoll(ahu, 1, 0, 0, value="1"))
    check("mbpoll is told of an absent register", lambda: told("Illegal data address", ahu, 1, 4, 5000))
    check("mbpoll is told of an absent unit", lambda: told("Target device failed to respond", ahu, 9, 4, 0))


def mbpoll(device, unit, kind, start, *more, value=None):
    answer = ask_mbpoll(device, unit, kind, start, *more, value=value)
    if answer.returncode != 0:
        raise AssertionError(answer.stderr.strip() or answer.stdout.strip())
    if value is not None:
        if "Written 1 references" not in answer.stdout:
            raise AssertionError(answer.stdout.strip())
        return value
    # "[0]: <tab>200", and for words above 32767 the signed number behind it.
    return re.findall(r"^\[\d+\]:\s*(\S+)", answer.stdout, re.MULTILINE)


def ask_mbpoll(device, unit, kind, start, *more, value=None):
    host, port = device
    once = ["-1"] if value is None else []
    command = ["mbpoll", "-m", "tcp", "-p", str(port), "-a", str(unit), "-0", "-r", str(start),
               "-t", str(kind), *once, *more, host, *([value] if value is not None else [])]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT, stdin=subprocess.DEVNULL)


def told(text, *question):
    answer = ask_mbpoll(*question)
    both = answer.stdout + answer.stderr
    if text.lower() not in both.lower():
        raise AssertionError(both.strip())
    return text


# The gateway, seen over HTTP

@contextmanager
def served(gateway, *arguments):
    """A running gateway: its URL and its connectors' addresses, as it prints them."""
    with tempfile.TemporaryFile("w+") as log:
        with process([gateway, *arguments], stdout=subprocess.PIPE, stderr=log, text=True) as child:
            devices = {}
            for line in child.stdout:
                if found := re.match(r"\s+(\S+)\s+modbus-tcp://([\d.]+):(\d+)\s", line):
                    devices[found[1]] = (found[2], int(found[3]))
                if line.startswith("Console"):
                    break
            else:
                log.seek(0)
                raise RuntimeError(f"the gateway does not start: {log.read()}")
            yield line.split()[1], devices


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


def shown(url, name):
    return until(url, name, lambda now: now["curStatus"] == "ok")["curVal"]


def becomes(url, name, value):
    # In Python True is 1, in JSON it is not.
    same = lambda val: isinstance(val, bool) == isinstance(value, bool) and val == value
    until(url, name, lambda now: now["curStatus"] == "ok" and same(now["curVal"]))


def faulty(url, name):
    return until(url, name, lambda now: now["curStatus"] == "fault")["curErr"]


# Checks

def check(name, body):
    global failed
    try:
        detail = body()
        print(f"ok    {name}{f': {detail}' if isinstance(detail, str) else ''}", flush=True)
    except Exception as error:
        failed += 1
        print(f"FAIL  {name}: {type(error).__name__} {error}", flush=True)


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"{actual}, not {expected}")


def near(actual, expected, distance):
    if abs(actual - expected) > distance:
        raise AssertionError(f"{actual}, not near {expected}")
    return f"{actual}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())

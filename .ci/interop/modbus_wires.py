#!/usr/bin/env python3
"""Modbus on every transport between the examples modbus and modbus_server and others.

    pip install 'pymodbus>=3.8,<4' pyserial; apt install socat mbpoll
    python modbus_wires.py FOLDER

FOLDER has the built examples. Serial lines are pairs of pseudo terminals, made by socat.

  1. pymodbus is the server (modbus_server.py), by TCP, UDP, RTU over TCP and RTU: our client reads,
     writes, scans and identifies it.
  2. pymodbus and mbpoll are clients of our server, by TCP, RTU over TCP and RTU.

One line for each check; the exit code is 0 where all of them hold.
"""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from pymodbus import FramerType
from pymodbus.client import ModbusSerialClient, ModbusTcpClient

import modbus
from modbus import check, equal, free_port, process

HERE = Path(__file__).resolve().parent
LINE = "baud=19200&parity=none"
MASK_WRITE = "16"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for kind in ("tcp", "udp", "rtutcp", "rtu"):
        with wire(kind) as (theirs, url, _):
            command = [sys.executable, str(HERE / "modbus_server.py"), kind, theirs]
            with served(command):
                our_client(folder / "modbus", kind, url)
    for kind in ("tcp", "rtutcp", "rtu"):
        with wire(kind) as (port, _, client):
            url = f"rtu://{port}?{LINE}" if kind == "rtu" else f"{kind}://127.0.0.1:{port}"
            with served([str(folder / "modbus_server"), url]):
                their_clients(kind, port if kind != "rtu" else client)
    print("all checks hold" if modbus.failed == 0 else f"{modbus.failed} failed")
    return 1 if modbus.failed else 0


@contextmanager
def wire(kind):
    """Where the server is (a port or one end of a line), our client's URL, and the line's other end."""
    if kind != "rtu":
        port = str(free_port())
        yield port, f"{kind}://127.0.0.1:{port}", None
        return
    with tempfile.TemporaryDirectory() as folder:
        ends = [f"{folder}/{end}" for end in "ab"]
        with process(["socat", *(f"pty,raw,echo=0,link={end}" for end in ends)]):
            while not all(Path(end).exists() for end in ends):
                time.sleep(0.05)
            yield ends[0], f"rtu://{ends[1]}?{LINE}", ends[1]


@contextmanager
def served(command):
    with process(command, stdout=subprocess.PIPE, text=True) as child:
        line = child.stdout.readline()
        if "listening" not in line:
            raise RuntimeError(f"{command[0]} does not start: {line}")
        yield


# 1. pymodbus as a server

READS = {
    "coil:00004": True,
    "discrete:#0": False,
    "input:30020": 191,
    "holding:#10:f4": 1.5,
    "holding:#14:f4le": 1.5,
    "holding:#16:s2": -5,
    "holding:#21:f8": 3.125,
    "holding:40004:bit:1": True,
    "holding:40004:u2:/10 + 1": 1.3,
    "holding:#100:str:8": "pymodbus",
    "holding:#104:bcd4": 12345678,
}
WRITES = {
    # what is written: the registers that it stands in
    "holding:#30=54321": (30, [54321]),
    "holding:#31:s2:/10=-21.5": (31, [0x10000 - 215]),
    "holding:#32:f4lew=1.5": (32, [0, 0x3FC0]),
    "holding:#34:str:4=ab": (34, [0x6162, 0]),
    "holding:#36:bcd2=1234": (36, [0x1234]),
    "holding:#37:bit:3=on": (37, [8]),
}


def our_client(program, kind, url):
    def ask(*arguments, code=0):
        answer = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=20)
        if answer.returncode != code:
            raise AssertionError(f"ended with {answer.returncode}: {answer.stdout}{answer.stderr}")
        return answer

    def read(*arguments, code=0):
        lines = ask("read", url, "--json", *arguments, code=code).stdout.splitlines()
        return {line["address"]: line.get("value", line.get("error")) for line in map(json.loads, lines)}

    check(f"{kind}: our client reads every type", lambda: equal(read(*READS), READS))
    check(f"{kind}: it says what does not exist", lambda: equal(
        read("holding:#2000", "holding:#7", code=1),
        {"holding:#2000": "Exception code 2: Illegal Data Address [42001 count=1]", "holding:#7": 7}))
    check(f"{kind}: it writes every type", lambda: equal(
        ask("write", url, *WRITES).stdout.split("\n")[0], "holding:#30 54321"))
    for written, (start, words) in WRITES.items():
        names = [f"holding:#{start + at}" for at in range(len(words))]
        check(f"{kind}: {written} has arrived", lambda: equal(list(read(*names).values()), words))
    check(f"{kind}: a bit is written by function 22", lambda: traced(
        ask("write", url, "--trace", "holding:#37:bit:0=1").stderr, MASK_WRITE))
    check(f"{kind}: the others of its register stay", lambda: equal(read("holding:#37"), {"holding:#37": 9}))
    check(f"{kind}: it identifies the device", lambda: equal(
        ask("id", url).stdout.splitlines()[:3], ["vendorName Interop", "productCode IOP", "revision 3.1"]))
    check(f"{kind}: it scans what there is", lambda: equal(
        [line.split()[0] for line in ask("scan", url, "holding:#103-#120").stdout.splitlines()],
        ["holding:40104", "holding:40105", "holding:40106"]))


def traced(text, function):
    sent = re.search(rf"^> .*\b{function}\b", text, re.MULTILINE)
    if not sent:
        raise AssertionError(text)


# 2. pymodbus and mbpoll as clients

def their_clients(kind, where):
    if kind == "rtu":
        client = ModbusSerialClient(where, baudrate=19200, parity="N", timeout=2, retries=0)
    else:
        framer = FramerType.RTU if kind == "rtutcp" else FramerType.SOCKET
        client = ModbusTcpClient("127.0.0.1", port=int(where), framer=framer, timeout=2, retries=0)
    with client:
        check(f"{kind}: pymodbus reads registers", lambda: equal(
            client.read_holding_registers(10, count=3, device_id=1).registers, [10, 11, 12]))
        check(f"{kind}: pymodbus reads bits", lambda: equal(
            client.read_discrete_inputs(0, count=4, device_id=2).bits[:4], [False, True, False, True]))
        check(f"{kind}: pymodbus masks a register (22)", lambda: (
            equal(client.mask_write_register(address=11, and_mask=0xFFF0, or_mask=5, device_id=1).isError(), False),
            equal(client.read_holding_registers(11, count=1, device_id=1).registers, [5])))
        check(f"{kind}: pymodbus writes and reads (23)", lambda: equal(client.readwrite_registers(
            read_address=10, read_count=3, write_address=12, values=[99], device_id=2).registers, [10, 11, 99]))
        check(f"{kind}: pymodbus identifies the server (43)", lambda: equal(
            client.read_device_information(read_code=1, object_id=0, device_id=1).information[0], b"pointstream"))
        check(f"{kind}: pymodbus is told of an absent register", lambda: equal(
            client.read_holding_registers(5000, count=1, device_id=1).exception_code, 2))
    tool = ["-m", "rtu", "-b", "19200", "-P", "none"] if kind == "rtu" else ["-m", "tcp", "-p", where]
    where = where if kind == "rtu" else "127.0.0.1"
    if kind == "rtutcp":
        return
    mbpoll = lambda *arguments: subprocess.run(
        ["mbpoll", *tool, "-a", "1", "-0", "-t", "4", *arguments], capture_output=True, text=True, timeout=20,
        stdin=subprocess.DEVNULL).stdout
    check(f"{kind}: mbpoll reads registers", lambda: equal(
        re.findall(r"^\[\d+\]:\s*(\S+)", mbpoll("-r", "20", "-c", "3", "-1", where), re.MULTILINE), ["20", "21", "22"]))
    check(f"{kind}: mbpoll writes a register", lambda: equal(
        "Written 1 references" in mbpoll("-r", "20", where, "4711"), True))
    check(f"{kind}: mbpoll reads it back", lambda: equal(
        re.findall(r"^\[20\]:\s*(\S+)", mbpoll("-r", "20", "-1", where), re.MULTILINE), ["4711"]))


if __name__ == "__main__":
    sys.exit(main())

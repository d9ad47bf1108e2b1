#!/usr/bin/env python3
"""A Modbus server on pymodbus, as a foreign peer for the driver.

    pip install 'pymodbus>=3.8,<4' pyserial
    python modbus_server.py [tcp|udp|rtutcp] PORT
    python modbus_server.py rtu DEVICE

Prints "listening" when it serves, and does so until it is ended. Lines have 19200 baud and no
parity, which pseudo terminals refuse. pymodbus 4 drops
the context classes used here, hence the pin. A sequential block given the address 1 begins at wire
address 0, since these classes count from 1 as manuals do.

Unit 1 holds:

    coil       #0..#15    on where the address is divisible by 3
    discrete   #0..#15    on where the address is odd
    input      #0..#19    10 * address + 1
    holding    #0..#9     the address
               #10,#11    1.5 as f4           3fc0 0000
               #12,#13    1.5 as f4lew        0000 3fc0
               #14,#15    1.5 as f4le         0000 c03f
               #16        -5 as s2            fffb
               #17..#20   i64::MIN as s8      8000 0000 0000 0000
               #21..#24   3.125 as f8         4009 0000 0000 0000
               #25..#99   0, to be written to
               #100..#103 "pymodbus" as str:8
               #104,#105  12345678 as bcd4    1234 5678

Function 43 answers with a vendor, a product code and a revision.

Everything else answers Illegal Data Address.
"""

import asyncio
import logging
import sys
import warnings

from pymodbus.datastore import (
    ModbusDeviceContext,
    ModbusSequentialDataBlock,
    ModbusServerContext,
)
from pymodbus import FramerType, ModbusDeviceIdentification
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusUdpServer

FIRST = 1

COILS = [address % 3 == 0 for address in range(16)]
DISCRETES = [address % 2 == 1 for address in range(16)]
INPUTS = [10 * address + 1 for address in range(20)]
HOLDINGS = (
    list(range(10))
    + [0x3FC0, 0x0000]
    + [0x0000, 0x3FC0]
    + [0x0000, 0xC03F]
    + [0xFFFB]
    + [0x8000, 0, 0, 0]
    + [0x4009, 0, 0, 0]
    + [0] * 75
    + [0x7079, 0x6D6F, 0x6462, 0x7573]
    + [0x1234, 0x5678]
)
IDENTITY = {"VendorName": "Interop", "ProductCode": "IOP", "MajorMinorRevision": "3.1", "ProductName": "Peer"}


async def main(kind: str, where: str) -> None:
    device = ModbusDeviceContext(
        co=ModbusSequentialDataBlock(FIRST, COILS),
        di=ModbusSequentialDataBlock(FIRST, DISCRETES),
        ir=ModbusSequentialDataBlock(FIRST, INPUTS),
        hr=ModbusSequentialDataBlock(FIRST, HOLDINGS),
    )
    context = ModbusServerContext(devices={1: device}, single=False)
    common = {"identity": ModbusDeviceIdentification(info_name=IDENTITY)}
    if kind == "rtu":
        server = ModbusSerialServer(context, framer=FramerType.RTU, port=where, baudrate=19200, parity="N", **common)
    elif kind == "udp":
        server = ModbusUdpServer(context, address=("127.0.0.1", int(where)), **common)
    else:
        framer = FramerType.RTU if kind == "rtutcp" else FramerType.SOCKET
        server = ModbusTcpServer(context, framer=framer, address=("127.0.0.1", int(where)), **common)
    if not await server.listen():
        sys.exit(f"cannot listen on {where}")
    print("listening", where, flush=True)
    await server.serving


if __name__ == "__main__":
    arguments = sys.argv[1:] if len(sys.argv) == 3 else ["tcp", *sys.argv[1:]]
    if len(arguments) != 2 or arguments[0] not in ("tcp", "udp", "rtutcp", "rtu"):
        sys.exit(__doc__)
    warnings.simplefilter("ignore", DeprecationWarning)
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    asyncio.run(main(*arguments))

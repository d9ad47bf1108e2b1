#!/usr/bin/env python3
"""A Modbus TCP server on pymodbus, as a foreign peer for the driver.

    pip install 'pymodbus>=3.8,<4'
    python modbus_server.py PORT

Prints "listening PORT" when it accepts connections and serves until it is ended. pymodbus 4 drops
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
from pymodbus.server import ModbusTcpServer

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
)


async def main(port: int) -> None:
    device = ModbusDeviceContext(
        co=ModbusSequentialDataBlock(FIRST, COILS),
        di=ModbusSequentialDataBlock(FIRST, DISCRETES),
        ir=ModbusSequentialDataBlock(FIRST, INPUTS),
        hr=ModbusSequentialDataBlock(FIRST, HOLDINGS),
    )
    context = ModbusServerContext(devices={1: device}, single=False)
    server = ModbusTcpServer(context, address=("127.0.0.1", port))
    if not await server.listen():
        sys.exit(f"cannot listen on port {port}")
    print("listening", port, flush=True)
    await server.serving


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    warnings.simplefilter("ignore", DeprecationWarning)
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    asyncio.run(main(int(sys.argv[1])))

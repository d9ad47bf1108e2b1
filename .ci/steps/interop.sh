#!/usr/bin/env bash
# Modbus with others: pymodbus as a server of our client, pymodbus and mbpoll as clients of our server;
# by TCP, UDP, RTU over TCP, and RTU on a pair of pseudo terminals. IOTMP with an implementation in Python.
. .ci/lib.sh

need mbpoll mbpoll
need socat socat
python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
venv=$CI_WORK/venv
run python3 -m venv "$venv"
run retry "$venv/bin/pip" install --quiet --disable-pip-version-check 'pymodbus>=3.8,<4' pyserial
examples

run timeout --foreground 300 "$venv/bin/python" .ci/interop/modbus.py "$EXAMPLES/gateway"
run timeout --foreground 300 "$venv/bin/python" .ci/interop/modbus_wires.py "$EXAMPLES"
run timeout --foreground 60 python3 .ci/interop/iotmp.py "$EXAMPLES"

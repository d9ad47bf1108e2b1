#!/usr/bin/env bash
# Modbus with others: pymodbus as a server of our client, pymodbus and mbpoll as clients of our server;
# by TCP, UDP, RTU over TCP, and RTU on a pair of pseudo terminals. MQTT with mosquitto as the broker, by TCP, TLS
# and WebSocket and restarted many times, and paho-mqtt as the other client. IOTMP with an implementation in Python.
. .ci/lib.sh

need mbpoll mbpoll
need socat socat
need mosquitto mosquitto
need openssl openssl
python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
venv=$CI_WORK/venv
run python3 -m venv "$venv"
run retry "$venv/bin/pip" install --quiet --disable-pip-version-check 'pymodbus>=3.8,<4' pyserial 'paho-mqtt>=2,<3'
examples

run timeout --foreground 300 "$venv/bin/python" .ci/interop/modbus.py "$EXAMPLES/gateway"
run timeout --foreground 300 "$venv/bin/python" .ci/interop/modbus_wires.py "$EXAMPLES"
run timeout --foreground 600 "$venv/bin/python" .ci/interop/mqtt.py "$EXAMPLES"
run timeout --foreground 60 python3 .ci/interop/iotmp.py "$EXAMPLES"
run .ci/interop/sparkplug.sh

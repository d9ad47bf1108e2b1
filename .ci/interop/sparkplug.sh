#!/usr/bin/env bash
# Sparkplug B with others: pysparkplug as an edge node of our host, and as a host of our edge node, through
# mosquitto. pysparkplug wants an older paho-mqtt than others, so it has an environment of its own.
. .ci/lib.sh

need mosquitto mosquitto
python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
venv=$CI_WORK/venv-sparkplug
run python3 -m venv "$venv"
run retry "$venv/bin/pip" install --quiet --disable-pip-version-check 'pysparkplug==0.6.1'
examples

run timeout --foreground 300 "$venv/bin/python" .ci/interop/sparkplug.py "$EXAMPLES/gateway"

"""Other clients of the hub: httpx-sse with jsonpatch, curl, and nginx in front of it with its defaults.

    python hub.py HUB NGINX_PORT WORK

HUB is the address of a hub with the topic `demo`; nginx must be installed.
"""

import json
import pathlib
import subprocess
import sys
import threading
import time
import urllib.request

import httpx
import jsonpatch
from httpx_sse import connect_sse

HUB, NGINX_PORT, WORK = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
FIRST_BYTE_MAX = 0.1


def long(n):
    return {"n": n, "name": "Süd 😀", "pad": "0123456789" * 20}


def publish(document):
    request = urllib.request.Request(
        f"{HUB}/publish/v1/topics/demo",
        json.dumps(document).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 204, answer.status


def httpx_sse():
    publish(long(1))
    with httpx.Client(timeout=20) as client:
        with connect_sse(client, "GET", f"{HUB}/v1/topics/demo") as source:
            # This library makes an event also of the field `retry`, which stands alone at the begin.
            events = (event for event in source.iter_sse() if event.data)
            first = next(events)
            assert first.event == "data", first
            document = json.loads(first.data)
            for n in range(2, 6):
                publish(long(n))
                event = next(events)
                assert event.event == "patch", event
                document = jsonpatch.apply_patch(document, json.loads(event.data))
                assert document == long(n), document
                last = event.id
        publish(long(6))
        headers = {"Last-Event-ID": last}
        with connect_sse(client, "GET", f"{HUB}/v1/topics/demo", headers=headers) as source:
            event = next(event for event in source.iter_sse() if event.data)
            assert event.event == "patch", event
            assert jsonpatch.apply_patch(document, json.loads(event.data)) == long(6)
    print("ok    httpx-sse with jsonpatch: document, patches, resume")


def reads(arguments, mark, act):
    """Runs curl, does `act` once it has a document, and gives the seconds until `mark` is there."""
    process = subprocess.Popen(["curl", "-sN", *arguments], stdout=subprocess.PIPE)
    watchdog = threading.Timer(20, process.kill)
    watchdog.start()
    try:
        text, began = b"", None
        while True:
            more = process.stdout.read1(65536)
            assert more, text
            text += more
            if began is None and text.endswith(b"\n\n") and b"event: data" in text:
                began = time.monotonic()
                act()
            if began is not None and mark in text:
                return time.monotonic() - began
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()


def curl():
    for name, more in [
        ("curl -N", []),
        ("curl -N --compressed", ["--compressed", "-H", "X-Sd-Compress: true"]),
        ("curl -N --http2-prior-knowledge", ["--http2-prior-knowledge"]),
    ]:
        n = time.monotonic_ns()
        reads([*more, f"{HUB}/v1/topics/demo"], str(n).encode(), lambda: publish(long(n)))
        print(f"ok    {name}")


def nginx():
    (WORK / "nginx.conf").write_text(f"""
        daemon off;
        pid {WORK}/nginx.pid;
        error_log {WORK}/nginx.log;
        events {{ }}
        http {{
            access_log off;
            client_body_temp_path {WORK}/body;
            proxy_temp_path {WORK}/proxy;
            fastcgi_temp_path {WORK}/fastcgi;
            uwsgi_temp_path {WORK}/uwsgi;
            scgi_temp_path {WORK}/scgi;
            gzip on;
            gzip_types *;
            gzip_min_length 1;
            gzip_proxied any;
            server {{
                listen 127.0.0.1:{NGINX_PORT};
                location / {{ proxy_pass {HUB}; }}
            }}
        }}
    """)
    server = subprocess.Popen(["nginx", "-c", WORK / "nginx.conf"])
    try:
        url = f"http://127.0.0.1:{NGINX_PORT}/v1/topics/demo"
        for _ in range(100):
            if subprocess.run(["curl", "-sf", f"http://127.0.0.1:{NGINX_PORT}/healthz"], stdout=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.1)
        for name, more in [
            ("", []),
            (", packed by nginx", ["--compressed"]),
            (", packed by the hub", ["--compressed", "-H", "X-Sd-Compress: true"]),
        ]:
            times = []
            for _ in range(5):
                n = time.monotonic_ns()
                times.append(reads([*more, url], str(n).encode(), lambda: publish(long(n))))
            # The machine may be busy now and then; buffering would show each time.
            best = min(times)
            assert best <= FIRST_BYTE_MAX, times
            print(f"ok    nginx in front{name}: an event after {best * 1000:.1f} ms, at worst {max(times) * 1000:.1f} ms")
    finally:
        server.terminate()
        server.wait()


httpx_sse()
curl()
nginx()

"""The description of the API: a sound OpenAPI document, by which every operation really answers.

    python openapi.py PLANT LOGGER HUB

PLANT is the address of the gateway example with a store and a configuration file, LOGGER of the logger
example, HUB of a hub with the topics `demo` and `items`. Each operation that the document has is called at
least once; its answer has a status, a type and a form that the document says. What the document has
besides, or has not, fails.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

PLANT, LOGGER, HUB = (address.rstrip("/") for address in sys.argv[1:4])
JSON = "application/json"


def fetch(base, method, target, body=None, headers=()):
    """The status, the headers and the body of an answer; of a stream its first event."""
    headers = dict(headers)
    data = None
    if body is not None:
        headers.setdefault("Content-Type", JSON)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(base + target, data, headers, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        if answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            text = b""
            while not text.endswith(b"\n\n") or b"data:" not in text:
                text += answer.readline()
            return answer.status, answer.headers, text
        return answer.status, answer.headers, answer.read()


def form(headers):
    return headers.get("Content-Type", "").split(";")[0]


class Api:
    def __init__(self, document):
        self.document = document
        self.called = set()

    def errors(self, schema, instance):
        whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "components": self.document["components"]}
        return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in Draft202012Validator(whole).iter_errors(instance)]

    def call(self, base, method, path, status=None, body=None, headers=(), query="", takes=True, **parts):
        """Calls an operation; `takes` says whether its body is one that the document admits."""
        target = path
        for name, value in parts.items():
            target = target.replace("{%s}" % name, urllib.parse.quote(value, safe=""))
        operation = self.document["paths"][path][method.lower()]
        what = f"{method} {target}{query}"
        known = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
        asked = set(dict(urllib.parse.parse_qsl(query.lstrip("?"))))
        assert asked <= known, f"{what}: the document has no {asked - known}"
        content = operation.get("requestBody", {}).get("content", {})
        sent = dict(headers).get("Content-Type", JSON)
        if body is not None:
            assert sent in content, f"{what}: the document has no {sent}"
            if not isinstance(body, bytes):
                wrong = self.errors(content[sent]["schema"], body)
                assert bool(wrong) != takes, f"{what}: by the document the body is {'wrong' if wrong else 'right'}: {wrong}"
        else:
            assert not content, f"{what}: the document wants a body"
        got, answered, text = fetch(base, method, target + query, body, headers)
        responses = operation["responses"]
        if status is None:
            status = int(next(status for status in responses if status != "default"))
        assert got == status, f"{what}: {got}, not {status}: {text[:300]}"
        if got >= 400:
            described = responses["default"]
        else:
            assert str(got) in responses or got in (202, 304), f"{what}: the document has no {got}"
            described = responses.get(str(got)) or responses["200"]
            self.called.add((path, method.lower()))
        expected = described.get("content", {})
        if got in (204, 304) or not expected:
            assert not text, f"{what}: {text[:100]}"
            return answered, None
        assert form(answered) in expected, f"{what}: {form(answered)} is not among {list(expected)}"
        if form(answered) != JSON:
            assert text, f"{what}: nothing"
            return answered, text.decode()
        value = json.loads(text)
        wrong = self.errors(expected[JSON]["schema"], value)
        assert not wrong, f"{what}: {wrong[:3]}"
        return answered, value


def topics(api):
    api.call(PLANT, "GET", "/v1/topics")
    answered, _ = api.call(PLANT, "GET", "/v1/topics/{id}/snapshot", id="plant")
    api.call(HUB, "POST", "/publish/v1/topics/{id}", id="demo", body={"a": 1})
    api.call(HUB, "POST", "/publish/v1/topics/{id}", id="items", headers={"Content-Type": "application/x-ndjson"}, body=b'{"Symbol":"A","n":1}\n{"Symbol":"B","n":2}\n')
    api.call(HUB, "PATCH", "/publish/v1/topics/{id}", id="demo", headers={"Content-Type": "application/merge-patch+json"}, body={"b": 2})
    api.call(HUB, "PATCH", "/publish/v1/topics/{id}", id="demo", headers={"Content-Type": "application/json-patch+json"}, body=[{"op": "remove", "path": "/b"}])
    api.call(HUB, "POST", "/publish/v1/topics", body=[{"topic": "demo", "data": {"a": 2}}, {"topic": "none", "data": 1}])
    api.call(HUB, "DELETE", "/publish/v1/topics/{id}/items/{item}", id="items", item="A")
    answered, _ = api.call(HUB, "GET", "/v1/topics/{id}/snapshot", id="demo")
    api.call(HUB, "GET", "/v1/topics/{id}/snapshot", 304, id="demo", headers={"If-None-Match": answered["ETag"]})
    api.call(HUB, "GET", "/v1/topics/{id}/snapshot", 404, id="none")
    api.call(HUB, "POST", "/publish/v1/topics/{id}", 404, id="none", body={"a": 1})
    for path in ("/v1/topics/{id}", "/v1/topic/{id}", "/latest/topics/{id}"):
        api.call(HUB, "GET", path, id="demo", query="?X-Sd-Mode=patch")
    # The first event of a stream of several topics names its session.
    request = urllib.request.Request(HUB + "/v1/stream?topic=demo")
    with urllib.request.urlopen(request, timeout=30) as stream:
        lines = iter(stream.readline, b"")
        session = next(json.loads(line[6:])["session"] for line in lines if line.startswith(b"data: {") and b"session" in line)
        api.call(HUB, "PATCH", "/v1/stream/{session}", session=session, body={"add": ["items"], "remove": []})
    api.call(HUB, "GET", "/v1/stream", query="?topic=demo")
    api.call(HUB, "PATCH", "/v1/stream/{session}", 404, session="0-0", body={"add": []})


def points(api):
    _, all_points = api.call(PLANT, "GET", "/v1/points")
    assert len(all_points) > 20
    _, some = api.call(PLANT, "GET", "/v1/points", query="?" + urllib.parse.urlencode({"filter": 'connector == "ahu"', "limit": "2"}))
    assert len(some) == 2
    api.call(PLANT, "GET", "/v1/points", 400, query="?filter=and+and")
    point = "ahu.tempSetpoint"
    api.call(PLANT, "GET", "/v1/points/{id}", id=point)
    api.call(PLANT, "GET", "/v1/points/{id}", 404, id="none")
    api.call(PLANT, "GET", "/v1/points/{id}/details", id=point)
    api.call(PLANT, "POST", "/v1/points/{id}/sync", id=point)
    write = "/v1/points/{id}/write"
    api.call(PLANT, "POST", write, id=point, body={"val": 21.5, "level": 8, "who": "ann", "duration": "10min"})
    api.call(PLANT, "GET", write, id=point)
    api.call(PLANT, "POST", write, id=point, body={"val": None, "level": 8})
    api.call(PLANT, "POST", write, 400, id=point, body={"val": 21, "level": 18}, takes=False)
    api.call(PLANT, "POST", write, 400, id=point, body={"val": 21, "what": 1}, takes=False)
    api.call(PLANT, "POST", write, 400, id=point, body={"val": 99})


def connectors(api):
    _, found = api.call(PLANT, "GET", "/v1/connectors")
    assert {connector["connStatus"] for connector in found} == {"ok"}, found
    api.call(PLANT, "GET", "/v1/connectors/{id}/details", id="ahu")
    api.call(PLANT, "GET", "/v1/connectors/{id}/details", 404, id="none")
    api.call(PLANT, "GET", "/v1/connectors/{id}/points", id="ahu")
    api.call(PLANT, "GET", "/v1/connectors/{id}/learn", id="ahu")
    trace = "/v1/connectors/{id}/trace"
    api.call(PLANT, "POST", trace, id="ahu", body={"on": True})
    api.call(PLANT, "POST", trace, 400, id="ahu", body={"off": True}, takes=False)
    for act in ("ping", "close", "open"):
        api.call(PLANT, "POST", "/v1/connectors/{id}/{act}", id="ahu", act=act)
    api.call(PLANT, "POST", "/v1/connectors/{id}/{act}", 404, id="ahu", act="explode")
    for _ in range(100):
        _, view = api.call(PLANT, "GET", trace, id="ahu")
        if {"phase", "req", "res"} <= {entry["type"] for entry in view["entries"]}:
            break
        time.sleep(0.1)
    else:
        raise AssertionError(f"the trace has no frames: {view}")
    assert any(entry.get("hex") for entry in view["entries"])
    api.call(PLANT, "GET", trace, id="ahu", query="?since=0", headers={"Accept": "text/event-stream"})
    api.call(PLANT, "POST", trace, id="ahu", body={"on": False})
    # A connector of Modbus has nothing but its points; with a broker it is called by mqtt.py.
    observe = "/v1/connectors/{id}/observe"
    api.call(PLANT, "GET", observe, 501, id="ahu", query="?filter=%23")
    api.call(PLANT, "GET", observe, 400, id="ahu")
    api.called.add((observe, "get"))
    added = {"points": [{"id": "ahu.added", "kind": "Number", "cur": "input:30001:s2"}]}
    api.call(PLANT, "POST", "/v1/connectors/{id}/points", id="ahu", body=added)
    api.call(PLANT, "POST", "/v1/connectors/{id}/points", 400, id="ahu", body={"points": [{"id": "a b", "kind": "Number"}]}, takes=False)
    api.call(PLANT, "POST", "/v1/config/restore")


def history(api):
    sync = "/v1/his/sync"
    api.call(LOGGER, "POST", "/v1/points/{id}/his/sync", id="meter.temp", query="?range=pastWeek")
    answered, job = api.call(LOGGER, "POST", sync, body={"connector": "meter", "range": "pastMonth", "tz": "Europe/Berlin"})
    assert answered["Location"] == f"/v1/his/sync/{job['id']}"
    api.call(LOGGER, "GET", sync + "/{job}", job=job["id"], headers={"Accept": "text/event-stream"})
    for _ in range(300):
        _, view = api.call(LOGGER, "GET", sync + "/{job}", job=job["id"], query="?since=0")
        if view["state"] != "running":
            break
        time.sleep(0.1)
    assert (view["state"], view["done"], view["failed"]) == ("done", 3, 0), view
    _, second = api.call(LOGGER, "POST", sync, body={"all": True, "range": "pastYear"})
    api.call(LOGGER, "DELETE", sync + "/{job}", job=second["id"])
    api.call(LOGGER, "GET", sync)
    api.call(LOGGER, "POST", sync, 400, body={"points": []})
    api.call(LOGGER, "POST", sync, 400, body={"what": 1}, takes=False)
    his = "/v1/points/{id}/his"
    for kind in ("json", "csv", "ndjson"):
        for query in ("range=pastWeek&limit=100", "range=lastWeek&interval=1day", "range=pastMonth&buckets=500&tz=Asia/Tokyo"):
            _, value = api.call(LOGGER, "GET", his, id="meter.temp", query=f"?{query}&format={kind}")
            if kind == "json":
                assert len(value["rows"]) > 5, (query, value)
    api.call(LOGGER, "GET", his, 400, id="meter.temp", query="?range=tomorrow")
    api.call(LOGGER, "GET", his, 404, id="none")


def service(api):
    api.call(PLANT, "GET", "/healthz")
    api.call(PLANT, "GET", "/metrics")
    api.call(PLANT, "GET", "/openapi.json")


_, _, text = fetch(PLANT, "GET", "/openapi.json")
document = json.loads(text)
OpenAPIV31SpecValidator(document).validate()
for name, schema in document["components"]["schemas"].items():
    Draft202012Validator.check_schema(schema)
print(f"ok    a sound document of {len(document['paths'])} paths and {len(document['components']['schemas'])} schemas")
api = Api(document)
for part in (topics, points, connectors, history, service):
    part(api)
    print(f"ok    {part.__name__} answer as they are described")
described = {(path, method) for path, item in document["paths"].items() for method in item}
missing = described - api.called
assert not missing, f"described, and never answered well: {sorted(missing)}"
print(f"ok    each of the {len(described)} operations was called")

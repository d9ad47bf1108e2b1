#!/usr/bin/env python3
"""Writes sparkplug.txt: payloads of Sparkplug B as pysparkplug encodes them, a name and the bytes a line.

    pip install 'pysparkplug==0.6.1'
    python sparkplug.py >sparkplug.txt

What pysparkplug has no classes for (data sets, templates, properties) is built with the messages that
protoc made for it from the standard's sparkplug_b.proto.
"""

from datetime import datetime, timezone

import pysparkplug as sp
from pysparkplug._protobuf import sparkplug_b_pb2 as pb

T = 1700000000000
AT = datetime.fromtimestamp(T / 1000, timezone.utc)


def metric(name, datatype, value, **more):
    return sp.Metric(timestamp=T, name=name, datatype=datatype, value=value, **more)


def show(name, payload, **options):
    data = payload.encode(**options) if hasattr(payload, "encode") else payload.SerializeToString(deterministic=True)
    print(name, data.hex())


D = sp.DataType
TYPES = [
    ("int8", D.INT8, -8), ("int16", D.INT16, -1600), ("int32", D.INT32, -320000), ("int64", D.INT64, -(2**40)),
    ("uint8", D.UINT8, 200), ("uint16", D.UINT16, 60000), ("uint32", D.UINT32, 4000000000),
    ("uint64", D.UINT64, 2**63 + 1), ("float", D.FLOAT, 1.5), ("double", D.DOUBLE, -0.1),
    ("boolean", D.BOOLEAN, True), ("string", D.STRING, "grün"), ("datetime", D.DATETIME, AT),
    ("text", D.TEXT, "long text"), ("uuid", D.UUID, "123e4567-e89b-12d3-a456-426614174000"),
    ("bytes", D.BYTES, b"\x00\x01\xff"), ("file", D.FILE, b"MZ"),
    ("int8s", D.INT8_ARRAY, (-23, 123)), ("int16s", D.INT16_ARRAY, (-30000, 30000)),
    ("int32s", D.INT32_ARRAY, (-1, 315338746)), ("int64s", D.INT64_ARRAY, (-4270929666821191986, 2)),
    ("uint8s", D.UINT8_ARRAY, (23, 250)), ("uint16s", D.UINT16_ARRAY, (30, 52360)),
    ("uint32s", D.UINT32_ARRAY, (52, 3293969225)), ("uint64s", D.UINT64_ARRAY, (5245, 16444743074749521625)),
    ("floats", D.FLOAT_ARRAY, (1.23, 89.341)), ("doubles", D.DOUBLE_ARRAY, (12.354213, 1022.9123213)),
    ("booleans", D.BOOLEAN_ARRAY, (False, False, True, True, False, True, False, False, True, True, False, True)),
    ("strings", D.STRING_ARRAY, ("ABC", "hello")), ("datetimes", D.DATETIME_ARRAY, (AT, AT)),
    ("no_strings_but_one", D.STRING_ARRAY, ("",)), ("no_booleans", D.BOOLEAN_ARRAY, ()),
]
show("types", sp.NBirth(timestamp=T, seq=0, metrics=tuple(metric(*of) for of in TYPES)))
show("nbirth", sp.NBirth(timestamp=T, seq=0, metrics=(
    metric("bdSeq", D.INT64, 7), metric("Node Control/Rebirth", D.BOOLEAN, False),
    metric("temp", D.DOUBLE, 21.5, alias=1), metric("none", D.INT32, None, alias=2))))
show("dbirth", sp.DBirth(timestamp=T, seq=1, metrics=(metric("speed", D.INT32, -5, alias=3),)))
show("ddata", sp.DData(timestamp=T + 1, seq=2, metrics=(
    sp.Metric(timestamp=T + 1, name=None, datatype=D.INT32, value=-6, alias=3),)))
show("historical", sp.NData(timestamp=T, seq=255, metrics=(
    metric("temp", D.DOUBLE, 1.0, is_historical=True, is_transient=True),)), include_dtypes=True)
show("ndeath", sp.NDeath(timestamp=T, bd_seq_metric=metric("bdSeq", D.INT64, 7)))
show("ddeath", sp.DDeath(timestamp=T, seq=3))
show("ncmd", sp.NCmd(timestamp=T, metrics=(metric("Node Control/Rebirth", D.BOOLEAN, True),)), include_dtypes=True)
show("metadata", sp.DData(timestamp=T, seq=4, metrics=(metric("doc", D.FILE, b"%PDF", metadata=sp.Metadata(
    is_multipart=True, content_type="application/pdf", size=4, seq=0, file_name="a.pdf", file_type="pdf",
    md5="0cc175b9c0f1b6a831c399e269772661", description="a page")),)), include_dtypes=True)

payload = pb.Payload(timestamp=T, seq=5, uuid="app", body=b"\x01")
table = payload.metrics.add(name="table", datatype=D.DATASET).dataset_value
table.num_of_columns = 2
table.columns.extend(["a", "b"])
table.types.extend([D.INT32, D.STRING])
row = table.rows.add()
row.elements.add(int_value=1)
row.elements.add(string_value="x")
row = table.rows.add()
row.elements.add(int_value=2**32 - 1)
row.elements.add()
show("dataset", payload)

payload = pb.Payload(timestamp=T, seq=6)
template = payload.metrics.add(name="motor", datatype=D.TEMPLATE).template_value
template.version = "1.0"
template.template_ref = "Motor"
template.is_definition = False
template.metrics.add(name="rpm", datatype=D.INT32, int_value=1500)
inner = template.metrics.add(name="gear", datatype=D.TEMPLATE).template_value
inner.template_ref = "Gear"
inner.metrics.add(name="ratio", datatype=D.FLOAT, float_value=2.5)
template.parameters.add(name="poles", type=D.UINT8, int_value=4)
template.parameters.add(name="maker", type=D.STRING, string_value="ACME")
show("template", payload)

payload = pb.Payload(timestamp=T, seq=7)
made = payload.metrics.add(name="p", datatype=D.INT32, int_value=1).properties
made.keys.append("engUnit")
made.values.add(type=D.STRING, string_value="°C")
made.keys.append("Quality")
made.values.add(type=D.INT32, int_value=192)
made.keys.append("none")
made.values.add(type=D.DOUBLE, is_null=True)
made.keys.append("set")
nested = made.values.add(type=D.PROPERTYSET).propertyset_value
nested.keys.append("low")
nested.values.add(type=D.DOUBLE, double_value=1.5)
made.keys.append("sets")
lists = made.values.add(type=D.PROPERTYSETLIST).propertysets_value
one = lists.propertyset.add()
one.keys.append("flag")
one.values.add(type=D.BOOLEAN, boolean_value=True)
lists.propertyset.add()
show("properties", payload)

"""The messages of io.prometheus.client, built from their published numbers, and a reader of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.decoder import _DecodeVarint32  # type: ignore[attr-defined]

DOUBLE, INT64, UINT64, INT32, STRING, MESSAGE, UINT32, ENUM, SINT32, SINT64 = (
    1,
    3,
    4,
    5,
    9,
    11,
    13,
    14,
    17,
    18,
)
ONE, MANY = 1, 3

MESSAGES: dict[str, list[tuple[str, int, int, int, str]]] = {
    "LabelPair": [("name", 1, ONE, STRING, ""), ("value", 2, ONE, STRING, "")],
    "Gauge": [("value", 1, ONE, DOUBLE, "")],
    "Timestamp": [("seconds", 1, ONE, INT64, ""), ("nanos", 2, ONE, INT32, "")],
    "Exemplar": [
        ("label", 1, MANY, MESSAGE, "LabelPair"),
        ("value", 2, ONE, DOUBLE, ""),
        ("timestamp", 3, ONE, MESSAGE, "Timestamp"),
    ],
    "Counter": [("value", 1, ONE, DOUBLE, ""), ("exemplar", 2, ONE, MESSAGE, "Exemplar")],
    "Bucket": [
        ("cumulative_count", 1, ONE, UINT64, ""),
        ("upper_bound", 2, ONE, DOUBLE, ""),
        ("exemplar", 3, ONE, MESSAGE, "Exemplar"),
    ],
    "BucketSpan": [("offset", 1, ONE, SINT32, ""), ("length", 2, ONE, UINT32, "")],
    "Histogram": [
        ("sample_count", 1, ONE, UINT64, ""),
        ("sample_sum", 2, ONE, DOUBLE, ""),
        ("bucket", 3, MANY, MESSAGE, "Bucket"),
        ("schema", 5, ONE, SINT32, ""),
        ("zero_threshold", 6, ONE, DOUBLE, ""),
        ("zero_count", 7, ONE, UINT64, ""),
        ("positive_span", 12, MANY, MESSAGE, "BucketSpan"),
        ("positive_delta", 13, MANY, SINT64, ""),
        ("exemplars", 16, MANY, MESSAGE, "Exemplar"),
    ],
    "Metric": [
        ("label", 1, MANY, MESSAGE, "LabelPair"),
        ("gauge", 2, ONE, MESSAGE, "Gauge"),
        ("counter", 3, ONE, MESSAGE, "Counter"),
        ("histogram", 7, ONE, MESSAGE, "Histogram"),
    ],
    "MetricFamily": [
        ("name", 1, ONE, STRING, ""),
        ("help", 2, ONE, STRING, ""),
        ("type", 3, ONE, INT32, ""),
        ("metric", 4, MANY, MESSAGE, "Metric"),
    ],
}


@functools.cache
def family_class() -> Any:
    """Return the class of MetricFamily."""
    package = "rapidjws.tests.client_model"
    file = descriptor_pb2.FileDescriptorProto(name="client_model.proto", package=package, syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, label, kind, of in fields:
            one = message.field.add(name=field, number=number, label=label, type=kind)
            if of:
                one.type_name = f".{package}.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.MetricFamily"))


def metric_families(body: bytes) -> Iterator[Any]:
    """Yield the messages of a delimited exposition; unknown fields are a fault."""
    at = 0
    while at < len(body):
        size, at = _DecodeVarint32(body, at)
        family = family_class()()
        family.ParseFromString(body[at : at + size])
        assert family.SerializeToString() == body[at : at + size] or len(family.metric) > 0
        yield family
        at += size

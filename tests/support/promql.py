"""What an expression of PromQL names: metrics and labels, by promql-parser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser

from rapidjws.observe import METRICS

TARGET_LABELS = frozenset({"job", "instance", "le", "quantile"})
"""Labels that Prometheus adds, and those of a histogram's parts."""

ALERT_LABELS = frozenset({"alertname", "alertstate", "severity", "cause", "measure", "service"})
_PARTS = ("_bucket", "_count", "_sum")


def selectors_of(expression: str) -> Iterator[Any]:
    """Yield the vector selectors of an expression; an error of syntax raises ValueError."""
    yield from _walk(promql_parser.parse(expression))


def _walk(node: Any) -> Iterator[Any]:
    if type(node).__name__ == "VectorSelector":
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        inner = getattr(node, name, None)
        if inner is not None and not isinstance(inner, (str, int, float)):
            yield from _walk(inner)
    for inner in getattr(node, "args", None) or ():
        yield from _walk(inner)


def metric_of(series: str) -> Any:
    """Return the metric that a series belongs to, or None."""
    for part in _PARTS:
        found = METRICS.get(series.removesuffix(part))
        if series.endswith(part) and found is not None and found.type == "histogram":
            return found
    return METRICS.get(series)  # of a histogram, the native one


def grouped_by(expression: str) -> set[str]:
    """Return the labels that an expression groups or matches by."""
    found = re.findall(r"\b(?:by|on|ignoring|without|group_left|group_right) \(([^)]*)\)", expression)
    return {one.strip() for group in found for one in group.split(",") if one.strip()}


def faults_of(expression: str, recorded: frozenset[str] = frozenset()) -> list[str]:
    """Return what an expression names that no metric has."""
    faults, labels = [], set(TARGET_LABELS)
    for selector in selectors_of(expression):
        name = selector.name
        if name == "ALERTS":
            labels |= ALERT_LABELS | {"issuer", "partner"}
            continue
        if name in recorded:
            labels |= {"issuer", "verdict"}
            continue
        metric = metric_of(name)
        if metric is None:
            faults.append(f"no metric {name}")
            continue
        own = {*metric.labels, *TARGET_LABELS}
        labels |= own
        matched = {one.name for one in selector.matchers.matchers}
        faults += [f"{name} has no label {label}" for label in sorted(matched - own)]
    return faults + [f"no label {label}" for label in sorted(grouped_by(expression) - labels)]

"""The text of docs/reference/metrics.md, from the one list of metrics; ``tools/reference.py`` writes it."""

from __future__ import annotations

from rapidjws.observe.metric_list import MEASURES, METRICS, Metric

HEAD = """# Metrics

Made by `tools/reference.py` from the list in `rapidjws/observe/metric_list.py`; do not edit it here.

`/metrics` of the sidecar answers in the format that is asked for: text 0.0.4, OpenMetrics 1.0 with exemplars,
or protobuf with native histograms. Any worker answers for all; the counts of a worker that ended are kept.
Labels are configured names and closed sets: `issuer` is empty where a token names no configured issuer,
`partner` where nobody is attributed.

The bounds of histograms are powers of two of a second.
"""


def row(metric: Metric) -> str:
    """Return the table row of a metric."""
    labels = ", ".join(f"`{one}`" for one in metric.labels)
    words = metric.help.replace("|", "\\|")
    return f"| `{metric.name}` | {metric.type} | {metric.unit} | {labels} | {words} |"


def page() -> str:
    """Return the whole page."""
    lines = [
        HEAD,
        "## The ten measures",
        "",
        "| measure | what | metrics | target |",
        "| --- | --- | --- | --- |",
    ]
    for measure, what in MEASURES.items():
        rows = [one for one in METRICS.values() if one.measure == measure]
        names = ", ".join(f"`{one.name}`" for one in rows)
        target = "; ".join(one.target for one in rows if one.target)
        lines.append(f"| {measure} | {what} | {names} | {target} |")
    table = ["| metric | type | unit | labels | what it tells |", "| --- | --- | --- | --- | --- |"]
    lines += ["", "## All metrics", "", *table, *(row(one) for one in METRICS.values())]
    return "\n".join(lines) + "\n"

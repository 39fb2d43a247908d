"""Write the Grafana dashboards into the package: executive, on-call, debug. Needs the dependency group dev.

Run without arguments to write the files, with ``--check`` to fail where one is not current.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dashboard_panels import ANNOTATIONS, DASHBOARDS, Board, Panel, Source
from generated import write_or_check
from grafana_foundation_sdk.builders import (
    dashboard,
    logs,
    loki,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef

FOLDER = Path(__file__).resolve().parents[1] / "src" / "rapidjws" / "observe" / "data" / "dashboards"
METRICS = DataSourceRef(type_val="prometheus", uid="${metrics}")
LOGS = DataSourceRef(type_val="loki", uid="${logs}")
KINDS = {"graph": timeseries, "stat": stat, "table": table, "logs": logs, "state": statetimeline}
HEIGHT = 8
TRACE = "/explore?schemaVersion=1&panes={%22t%22:{%22datasource%22:%22${traces}%22,%22queries%22:[{%22query%22:%22${__data.fields.trace_id}%22}]}}"


def built_panel(panel: Panel) -> Any:
    """Return the builder of a panel."""
    builder = KINDS[panel.kind].Panel().title(panel.title).height(HEIGHT).span(panel.span)
    builder = builder.description(panel.description)
    source = LOGS if panel.source is Source.LOGS else METRICS
    builder = builder.datasource(source)
    if panel.unit and panel.kind != "logs":
        builder = builder.unit(panel.unit)
    for at, (expression, legend) in enumerate(panel.queries):
        reference = chr(ord("A") + at)
        if panel.source is Source.LOGS:
            query: Any = loki.Dataquery().expr(expression).ref_id(reference).datasource(source)
        else:
            query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(reference)
            query = query.datasource(source)
            if panel.exemplars:
                query = query.exemplar(True)
            if panel.kind in ("table", "stat"):
                query = query.instant()
            if panel.kind == "table":
                query = query.format("table")
        builder = builder.with_target(query)
    return builder


def built(board: Board) -> dict[str, Any]:
    """Return a dashboard as Grafana imports it."""
    builder = (
        dashboard.Dashboard(f"rapidjws: {board.title}")
        .uid(f"rapidjws-{board.name}")
        .tags(["rapidjws"])
        .description(board.description)
        .refresh("30s")
        .time(board.since, "now")
        .timezone("utc")
        .readonly()
    )
    for name, kind, label in (
        ("metrics", "prometheus", "Metrics"),
        ("logs", "loki", "Logs"),
        ("traces", "tempo", "Traces"),
    ):
        builder = builder.with_variable(dashboard.DatasourceVariable(name).type(kind).label(label))
    for name in ("issuer", "partner"):
        builder = builder.with_variable(
            dashboard.QueryVariable(name)
            .label(name)
            .datasource(METRICS)
            .query(f"label_values(rapidjws_verifications_total, {name})")
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    for name, expression, colour in ANNOTATIONS:
        builder = builder.annotation(
            dashboard.AnnotationQuery()
            .name(name)
            .datasource(METRICS)
            .enable(True)
            .expr(expression)
            .icon_color(colour)
        )
    for other in DASHBOARDS:
        if other is not board:
            builder = builder.link(
                dashboard.DashboardLink(other.title)
                .type(DashboardLinkType("link"))
                .url(f"/d/rapidjws-{other.name}")
                .keep_time(True)
                .include_vars(True)
            )
    for row, panels in board.rows:
        builder = builder.with_row(dashboard.Row(row))
        for panel in panels:
            builder = builder.with_panel(built_panel(panel))
    found: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))
    return found


def with_trace_links(found: dict[str, Any]) -> dict[str, Any]:
    """Add, to panels of requests, a link from the field trace_id to its trace."""
    titles = {
        panel.title
        for board in DASHBOARDS
        for _, panels in board.rows
        for panel in panels
        if panel.trace_links
    }
    for panel in found["panels"]:
        if panel.get("title") in titles:
            defaults = panel.setdefault("fieldConfig", {}).setdefault("defaults", {})
            defaults["links"] = [{"title": "Trace", "url": TRACE, "targetBlank": True}]
    return found


def main() -> int:
    """Write the files, or check them; return the exit status."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    texts = {
        FOLDER / f"{board.name}.json": json.dumps(with_trace_links(built(board)), indent=2, sort_keys=True)
        + "\n"
        for board in DASHBOARDS
    }
    return int(any(list(map(write_or_check, texts, texts.values()))))


if __name__ == "__main__":
    raise SystemExit(main())

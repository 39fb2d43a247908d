"""The list of metrics: names as the formats want them, closed sets as labels, every measure answered."""

from __future__ import annotations

import re

import pytest

from rapidjws.observe.metric_list import MEASURES, METRICS, PREFIX, Metric

OUTSIDE = {"kid", "sub", "jti", "path", "url", "token"}
"""What a stranger chooses: never a label."""


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_names_follow_the_formats(metric: Metric) -> None:
    """A counter ends in _total, a unit stands in the name, labels are neither reserved nor from outside."""
    assert re.fullmatch(PREFIX + r"[a-z][a-z0-9_]*[a-z0-9]", metric.name)
    assert metric.name.endswith("_total") == (metric.type == "counter")
    stem = metric.name.removesuffix("_total")
    assert not metric.unit or stem.endswith("_" + metric.unit)
    assert not stem.endswith(("_bucket", "_count", "_sum", "_created", "_info")) or stem.endswith(
        "build_info"
    )
    assert len(set(metric.labels)) == len(metric.labels)
    assert not OUTSIDE & set(metric.labels)
    assert not {"le", "quantile", "job", "instance"} & set(metric.labels)
    assert (metric.buckets is not None) == (metric.type == "histogram")
    assert metric.help.endswith(".")
    assert metric.measure is None or metric.measure in MEASURES


def test_every_measure_has_its_metrics() -> None:
    """The metrics of the ten measures have the names and labels that dashboards and alerts rely on."""
    wanted = {
        "M1": {"verifications_total": "issuer partner verdict code"},
        "M2": {"verification_duration_seconds": "issuer alg"},
        "M3": {"jwks_fetch_duration_seconds": "issuer result"},
        "M4": {
            "jwks_fetches_total": "issuer result reason",
            "jwks_age_seconds": "issuer",
            "jwks_stale": "issuer",
            "jwks_keys": "issuer",
        },
        "M5": {"claim_refusals_total": "issuer claim code"},
        "M6": {"key_first_use_lag_seconds": "issuer", "change_lag_seconds": "worker"},
        "M7": {"signing_duration_seconds": "backend alg result", "signing_queue_depth": "backend"},
        "M8": {"detached_verifications_total": "partner result"},
        "M9": {"replay_checks_total": "issuer result", "replay_store_errors_total": ""},
        "M10": {"emergency_rotation_seconds": "issuer stage drill"},
    }
    found: dict[str, dict[str, str]] = {measure: {} for measure in MEASURES}
    for metric in METRICS.values():
        if metric.measure is not None:
            found[metric.measure][metric.name.removeprefix(PREFIX)] = " ".join(metric.labels)
    assert found == wanted
    assert all(
        any(metric.target for metric in METRICS.values() if metric.measure == measure) for measure in MEASURES
    )

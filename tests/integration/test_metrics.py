"""The sidecar's metrics: exact over workers and their deaths, in each format, and never a token's content."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from gates import bearer, get, token
from sidecar_process import Service, served
from sidecar_process import until as wait_until

from rapidjws.observe.metric_list import METRICS

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

CANARY = "canary-5b1f0c"
"""Stands in each token: in its kid, its subject and its jti."""

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start a sidecar with two workers, and return its port."""
    with served(tmp_path_factory.mktemp("metrics"), partner_header="X-Partner") as (_, one):
        yield one


def scrape(port: int, accept: str = "") -> tuple[str, bytes]:
    """Return content type and body of ``/metrics``; of an answer of its own, not a kept one."""
    headers = [("accept", accept)] if accept else []
    status, head, body = get(port, headers, "/metrics")
    assert status == 200
    return head["content-type"], body


def value(text: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples with these labels."""
    from prometheus_client.parser import text_string_to_metric_families

    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and all(sample.labels.get(label) == wanted for label, wanted in labels.items())
    )


def until(port: int, name: str, wanted: float, **labels: str) -> str:
    """Scrape until a sum is there, for a minute at most; return the text."""
    end_s = time.monotonic() + 60
    while True:
        text = scrape(port)[1].decode()
        if value(text, name, **labels) >= wanted or time.monotonic() > end_s:
            return text
        time.sleep(0.2)


def test_every_request_is_counted_once(port: int) -> None:
    """Verdicts are those that were answered, by issuer and code; a request without a token has none."""
    before = scrape(port)[1].decode()
    for _ in range(20):
        assert get(port, bearer(token()), "/verify")[0] == 200
    for _ in range(3):
        assert get(port, [("authorization", "Bearer a.b.c")], "/verify")[0] == 401
    get(port, [], "/verify")
    time.sleep(1.1)  # a scrape is kept for a second
    text = until(port, "rapidjws_requests_total", value(before, "rapidjws_requests_total") + 24)

    def grown(name: str, **labels: str) -> float:
        return value(text, name, **labels) - value(before, name, **labels)

    assert grown("rapidjws_verifications_total", verdict="permit", code="ok") == 20
    assert grown("rapidjws_verifications_total", verdict="deny", issuer="") == 3
    assert grown("rapidjws_verifications_total") == 23
    assert grown("rapidjws_verification_duration_seconds_count") == 23
    assert grown("rapidjws_requests_total") == 24


@pytest.mark.parametrize("accept", ["", OPENMETRICS, PROTOBUF], ids=["text", "openmetrics", "protobuf"])
def test_only_metrics_of_the_list_and_nothing_of_a_token(port: int, accept: str) -> None:
    """Each format is the one asked for, holds names of the list only, and nothing that a token says."""
    get(port, bearer(token(sub=CANARY, jti=CANARY)), "/verify")
    get(port, bearer(token(sub=CANARY, iss=f"https://{CANARY}.example")), "/verify")
    get(port, [("authorization", f"Bearer {CANARY}.a.b"), ("x-partner", CANARY)], f"/verify/{CANARY}")
    time.sleep(1.1)
    kind, body = scrape(port, accept)
    assert CANARY.encode() not in body
    assert kind.partition(";")[0] == (accept or "text/plain").partition(";")[0]
    names = families(kind, body)
    assert set(names) <= set(METRICS)
    assert "rapidjws_verifications_total" in names


def families(kind: str, body: bytes) -> list[str]:
    """Return the names in an exposition, parsed by somebody else's parser."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
    from prometheus_client.parser import text_string_to_metric_families as text

    if kind.startswith("application/vnd"):
        from client_model import metric_families

        return [family.name for family in metric_families(body)]
    parse: Any = openmetrics if kind.startswith("application/openmetrics") else text
    found = []
    for family in parse(body.decode()):
        found.append(f"{family.name}_total" if family.type == "counter" else family.name)
    return found


def test_the_list_and_the_text_are_the_same_set(port: int) -> None:
    """The text names every metric of the list, with its type and help, also where it has no sample yet."""
    text = scrape(port)[1].decode()
    types = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert types == {metric.name: metric.type for metric in METRICS.values()}


def _serves_again(service: Service, times: int) -> bool:
    """Return whether so many workers were started again and serve."""
    return service.text().count("serves again") >= times


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_counts_survive_killed_workers(tmp_path: Any) -> None:
    """Two of four workers are killed while requests are answered: what was answered is what was counted."""
    with served(tmp_path, workers=4) as (service, port):
        answered = restarted = 0
        for round_ in range(4):
            connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(8)]
            for _ in range(25):
                for connection in connections:
                    connection.request("GET", "/verify", headers=dict(bearer(token())))
                    answer = connection.getresponse()
                    answer.read()
                    answered += answer.status == 200
            for connection in connections:
                connection.close()
            if round_ in (1, 2):
                killed = service.workers()[0]
                os.kill(killed, signal.SIGKILL)
                restarted += 1
                wait_until(partial(_serves_again, service, restarted), "a worker that serves again")
        assert answered == 800
        time.sleep(1.1)
        text = until(port, "rapidjws_verifications_total", answered, code="ok")
        assert value(text, "rapidjws_verifications_total", code="ok") == answered
        assert value(text, "rapidjws_worker_restarts_total") >= 2

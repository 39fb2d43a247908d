"""A real Prometheus scrapes a real sidecar under load, in each format; native histograms among them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gates import ISSUER, bearer, get, token
from monitoring import free_port, program
from sidecar_process import served

pytestmark = pytest.mark.gateways

LIMIT_S = 90.0
NATIVE = ["--enable-feature=native-histograms"]
"""With it this Prometheus asks for protobuf."""

NAME = "rapidjws_verification_duration_seconds"


@contextlib.contextmanager
def prometheus(folder: Path, target: int, flags: list[str]) -> Iterator[int]:
    """Run a Prometheus that scrapes a port twice a second; give its own port."""
    config = {
        "global": {"scrape_interval": "500ms"},
        "scrape_configs": [
            {"job_name": "sidecar", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]},
        ],
    }
    folder.mkdir()
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    port = free_port()
    log = (folder / "log").open("wb")
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        *flags,
    ]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def ask(port: int, path: str, **query: str) -> Any:
    """Return what Prometheus answers, or None while it does not."""
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]
    except OSError:
        return None


def value(port: int, expression: str) -> float | None:
    """Return the only value of an expression, or None where there is none yet."""
    found = ask(port, "query", query=expression)
    return float(found["result"][0]["value"][1]) if found and found["result"] else None


def until(condition: Any, what: str) -> Any:
    """Wait until a condition holds, and return what it gave."""
    end_s = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < end_s, what
        time.sleep(0.2)
    return found


@contextlib.contextmanager
def load(port: int) -> Iterator[list[int]]:
    """Ask for decisions while the block runs; the list counts them."""
    asked, stop = [0], threading.Event()

    def work() -> None:
        while not stop.is_set():
            good = asked[0] % 4 != 3
            headers = bearer(token()) if good else [("authorization", "Bearer a.b.c")]
            assert get(port, headers, "/verify")[0] == (200 if good else 401)
            asked[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield asked
    finally:
        stop.set()
        thread.join(LIMIT_S)


def test_prometheus_scrapes_under_load(tmp_path: Path) -> None:
    """OpenMetrics and protobuf are scraped without a fault, and say at the end what was answered.

    The second Prometheus has native histograms, and their quantile is that of the classic ones.
    """
    program("prometheus")
    with (
        served(tmp_path, partner_header="X-Partner") as (_, port),
        prometheus(tmp_path / "classic", port, []) as classic,
        prometheus(tmp_path / "native", port, NATIVE) as native,
    ):
        with load(port) as asked:
            for one in (classic, native):
                until(
                    lambda one=one: (value(one, "sum(rapidjws_verifications_total)") or 0) > 20,
                    "scrapes under load",
                )
        total = asked[0]
        counted = 'sum(rapidjws_verifications_total{verdict="permit"})'
        good = total - total // 4
        for one in (classic, native):
            until(lambda one=one: value(one, "sum(rapidjws_verifications_total)") == total, "the last scrape")
            assert value(one, counted) == good
            assert value(one, "up") == 1
            assert value(one, "sum(scrape_samples_scraped)") > 20  # type: ignore[operator]
            errors = ask(one, "targets")["activeTargets"][0]["lastError"]
            assert errors == ""
        assert value(classic, f"sum({NAME}_count)") == total
        histogram = until(lambda: value(native, f"histogram_count(sum({NAME}))"), "a native histogram")
        assert histogram == total
        assert value(native, f'histogram_count(sum({NAME}{{issuer="{ISSUER.iss}"}}))') == good
        for share in ("0.5", "0.95"):
            ours = value(native, f"histogram_quantile({share}, sum({NAME}))")
            theirs = value(classic, f"histogram_quantile({share}, sum by (le) ({NAME}_bucket))")
            assert ours is not None
            assert theirs is not None
            assert 0.5 < ours / theirs < 2.0  # in one bucket; between its bounds they interpolate differently


def test_prometheus_scrapes_plain_text(tmp_path: Path) -> None:
    """Where a scraper asks for text 0.0.4 only, promtool finds nothing to say of it but style."""
    promtool = program("promtool")
    with served(tmp_path) as (_, port):
        get(port, bearer(token()), "/verify")
        body = get(port, [("accept", "text/plain;version=0.0.4")], "/metrics")[2]
        done = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()

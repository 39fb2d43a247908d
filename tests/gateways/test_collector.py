"""A real OpenTelemetry Collector receives the sidecar's spans, by OTLP over HTTP."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gates import ISSUER, bearer, free_port, get, token, write_config, write_keys
from sidecar_process import Service, until

BUILT = Path(__file__).resolve().parents[2] / "build" / "collector" / "collector"
pytestmark = [
    pytest.mark.source_tree,
    pytest.mark.skipif(not BUILT.exists(), reason="no collector: run tools/collector.sh, which needs go"),
]
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """A collector in a process of its own, and what it wrote of the spans that it got."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        config = {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self.port}"}}}},
            "exporters": {"debug": {"verbosity": "detailed"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["debug"]}},
            },
        }
        (folder / "collector.yaml").write_text(json.dumps(config))  # JSON is YAML
        self._log = folder / "collector.log"
        with self._log.open("wb") as log:
            command = [str(BUILT), "--config", f"file:{folder / 'collector.yaml'}"]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def wait(self) -> None:
        """Wait until it serves."""
        until(lambda: "Everything is ready" in self.text() or self.process.poll() is not None, "it serves")
        assert self.process.poll() is None, self.text()

    def text(self) -> str:
        """Return what it wrote so far."""
        return self._log.read_text("utf-8", "replace")

    def spans(self) -> list[str]:
        """Return the text of each span that it got."""
        return self.text().split("Span #")[1:]


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """Give a collector."""
    one = Collector(tmp_path)
    try:
        one.wait()
        yield one
    finally:
        one.process.terminate()
        one.process.wait(60)


@pytest.fixture
def port(tmp_path: Path, collector: Collector) -> Iterator[int]:
    """Run a sidecar that sends its spans to the collector; at its end it has sent all."""
    write_keys(tmp_path)
    issuer: dict[str, Any] = {"iss": ISSUER.iss, "jwks_file": "jwks.json", "algorithms": ["ES256"]}
    issuer["audience"] = "https://api.example"
    listen = free_port()
    traces = {"endpoint": f"http://127.0.0.1:{collector.port}", "service_name": "verifier-under-test"}
    server = {"listen": f"127.0.0.1:{listen}", "workers": 1}
    config = write_config(tmp_path, [issuer], server=server, traces=traces)
    service = Service(tmp_path, ["--config", str(config)])
    try:
        service.wait_for("1 workers")
        yield listen
    finally:
        assert service.end() == 0


def sampled(flags: str = "01") -> tuple[str, str]:
    """Return the header of a caller that records."""
    return "traceparent", f"00-{TRACE}-{CALLER}-{flags}"


def test_a_collector_receives_the_spans_of_requests(collector: Collector, port: int) -> None:
    """Good and bad tokens of callers that record, and not of others; no piece of a token is in them."""
    text = token()
    status, headers, _ = get(port, [*bearer(text), sampled()], "/verify")
    assert status == 200
    given = {name.lower(): value for name, value in dict(headers).items()}["traceparent"]
    bad = text[:-8] + "AAAAAAAA"
    assert get(port, [*bearer(bad), sampled()], "/verify")[0] == 401
    assert get(port, [*bearer(text), sampled("00")], "/verify")[0] == 200
    assert get(port, bearer(text), "/verify")[0] == 200
    until(lambda: sum("jws.verify" in span for span in collector.spans()) >= 2, "two spans arrive")
    spans = [span for span in collector.spans() if "jws.verify" in span]
    assert len(spans) == 2
    assert all(f"Trace ID       : {TRACE}" in span and f"Parent ID      : {CALLER}" in span for span in spans)
    (good,) = (span for span in spans if "jws.code: Str(ok)" in span)
    (refused,) = (span for span in spans if "jws.code: Str(signature_invalid)" in span)
    assert f"ID             : {given.split('-')[2]}" in good
    assert "jws.alg: Str(ES256)" in good
    assert f"jws.issuer: Str({ISSUER.iss})" in good
    assert "jws.reason: Str(signature)" in refused
    whole = collector.text()
    assert "verifier-under-test" in whole
    for piece in (*text.split(".")[1:], *bad.split(".")[1:]):
        assert piece not in whole

"""A Prometheus of its own that scrapes a testbed and evaluates the alert rules, scaled."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws.errors import error_for
from rapidjws.gameday.testbed import free_port, wait_until
from rapidjws.observe.alert_list import PREFIX
from rapidjws.observe.alert_rules import duration, rules
from rapidjws.observe.yaml_text import yaml_text

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

PROGRAM: Final = "prometheus"
SCRAPE_S: Final = 15.0
SCRAPE_MIN_S: Final = 1.0


def prometheus_is_here() -> bool:
    """Return whether there is a Prometheus to run."""
    return shutil.which(PROGRAM) is not None


class Prometheus:
    """A running Prometheus; a context manager.

    Args:
        folder: For its data.
        target: ``host:port`` to scrape, at ``/metrics``.
        scale: What scrape interval and rules are divided by.
        native: Whether it asks for native histograms, by protobuf, instead of classic ones.
    """

    def __init__(self, folder: Path, target: str, scale: float = 1.0, *, native: bool = False) -> None:
        self._native = native
        self._folder = folder
        self._target = target
        self._scale = scale
        self._process: subprocess.Popen[bytes] | None = None
        self._address = f"127.0.0.1:{free_port()}"

    def __enter__(self) -> Prometheus:
        self._folder.mkdir(exist_ok=True)
        interval = duration(max(SCRAPE_S / self._scale, SCRAPE_MIN_S))
        document = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "rule_files": ["rules.yaml"],
            "scrape_configs": [
                {"job_name": "rapidjws", "static_configs": [{"targets": [self._target]}]},
            ],
        }
        for name, tables in (("prometheus.yaml", document), ("rules.yaml", rules(scale=self._scale))):
            _files.replace(self._folder / name, yaml_text(tables).encode(), sync=False)
        words = [
            shutil.which(PROGRAM) or PROGRAM,
            f"--config.file={self._folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self._address}",
            f"--enable-feature=exemplar-storage{',native-histograms' if self._native else ''}",
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            wait_until(self._is_ready, "Prometheus is ready")
        except BaseException:
            self.close()
            raise
        return self

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def call(self, path: str, **arguments: str) -> Any:
        """Return the member ``data`` of an answer of the HTTP API.

        Raises:
            ConfigurationError: ``configuration_invalid``: Prometheus refuses it.
        """
        query = urllib.parse.urlencode(arguments)
        try:
            with urllib.request.urlopen(
                f"http://{self._address}/api/v1/{path}?{query}", timeout=30
            ) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            found = refused.read().decode("utf-8", "replace")
            raise error_for("configuration_invalid", "prometheus", "an answer", found) from None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples that an expression gives now."""
        found = self.call("query", query=expression)["result"]
        return list(found) if isinstance(found, list) else []

    def firing(self) -> dict[str, str]:
        """Return the alerts that fire, without their prefix, with their summaries."""
        return {
            one["labels"]["alertname"].removeprefix(PREFIX): one["annotations"]["summary"]
            for one in self.call("alerts")["alerts"]
            if one["state"] == "firing" and one["labels"]["severity"] != "info"
        }

    def log(self) -> str:
        """Return what it logged."""
        return (self._folder / "log").read_text("utf-8", "replace")

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""Alerts where there is no Prometheus: our own thresholds, over what the service's admin listener answers."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any, Final

from rapidjws.observe.thresholds import alerts_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from rapidjws.gameday.testbed import Testbed

STATUS_PATH: Final = "/admin/status.json"


class _Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class ThresholdWatcher:
    """Evaluate the service's own thresholds; use as a context manager.

    Args:
        bed: The testbed; its windows are those of production, whatever the scale.
    """

    def __init__(self, bed: Testbed) -> None:
        self._bed = bed

    def firing(self) -> dict[str, str]:
        """Return the alerts that the status calls for, with their summaries."""
        return {alert.name: alert.summary for alert in alerts_of(self._status())}

    def _status(self) -> dict[str, Any]:
        link = _Unix(self._bed.admin)
        try:
            link.request("GET", STATUS_PATH)
            answer = link.getresponse()
            found = json.loads(answer.read())
            return found if answer.status == 200 and isinstance(found, dict) else {}
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        finally:
            link.close()

    def __enter__(self) -> ThresholdWatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End nothing: it has no process."""

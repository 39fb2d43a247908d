"""The page ``/metrics`` of a process that issues, on an address of its own."""

from __future__ import annotations

from rapidjws.issuing import Document
from rapidjws.observe.exposition import Exposition, chosen_format
from rapidjws.observe.issuer_metrics import IssuerMetrics

PATH = "/metrics"


class IssuerMetricsPage:
    """Answers ``GET /metrics`` in the format that is asked for.

    Args:
        metrics: What is read.
    """

    __slots__ = ("_exposition", "_metrics")

    def __init__(self, metrics: IssuerMetrics) -> None:
        self._metrics = metrics
        self._exposition = Exposition()

    def handle(self, method: str, path: str, headers: list[tuple[str, str]], /) -> Document:
        """Answer one request; reads the store of the issuer's state, so never on a loop."""
        if path != PATH:
            return Document(status=404, headers={}, body=b"")
        if method not in ("GET", "HEAD"):
            return Document(status=405, headers={"allow": "GET, HEAD"}, body=b"")
        accept = ",".join(value for name, value in headers if name == "accept")
        wanted = chosen_format(accept.encode("latin-1"))
        body = self._exposition.write(self._metrics.reading(), wanted)
        shown = {"content-type": wanted.content_type, "cache-control": "no-store"}
        return Document(status=200, headers=shown, body=body)

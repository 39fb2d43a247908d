"""Counts of log records: signs of an attack by name, and lines that a limit left out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from rapidjws.observe import metric_list as metrics
from rapidjws.observe.log_events import EVENTS, SECURITY
from rapidjws.observe.log_formats import ATTRIBUTE

if TYPE_CHECKING:
    from rapidjws.observe.recorder import MetricRecorder

LEFT_OUT: Final = frozenset({"lines_left_out", "log_lines_dropped"})


class LogCounter(logging.Handler):
    """A handler that counts records of ``rapidjws.*`` and writes none.

    Args:
        recorder: Counts.
    """

    def __init__(self, recorder: MetricRecorder) -> None:
        super().__init__()
        self._recorder = recorder

    def emit(self, record: logging.LogRecord) -> None:
        """Count one record."""
        fields = getattr(record, ATTRIBUTE, None)
        if not isinstance(fields, dict):
            return
        name = fields.get("event")
        event = EVENTS.get(name) if isinstance(name, str) else None
        if event is None:
            return
        if event.logger == SECURITY:
            issuer = self._recorder.configured(fields.get("issuer"))
            self._recorder.add(metrics.SECURITY_EVENTS, event.name, issuer)
        elif name in LEFT_OUT and isinstance(fields.get("left_out"), int):
            self._recorder.add(metrics.LOG_LINES_DROPPED, more=fields["left_out"])

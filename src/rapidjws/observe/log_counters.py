"""Counts of log lines that a limit left out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from rapidjws.observe import metric_list as metrics
from rapidjws.observe.log_formats import ATTRIBUTE

if TYPE_CHECKING:
    from rapidjws.observe.recorder import MetricRecorder

LEFT_OUT: Final = frozenset({"lines_left_out", "log_lines_dropped"})


class LogCounter(logging.Handler):
    """A handler that counts what records of ``rapidjws.*`` say was left out, and writes none.

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
        if fields.get("event") in LEFT_OUT and isinstance(fields.get("left_out"), int):
            self._recorder.add(metrics.LOG_LINES_DROPPED, more=fields["left_out"])

"""How much work a policy that is evaluated in this process may make: the size of its input, and time.

Its library cannot be stopped, and holds the interpreter: an evaluation that takes too long is undecided, and
inputs as large as its own are not evaluated for a while, so that policies have a bounded share of the time.
"""

from __future__ import annotations

from time import monotonic_ns, thread_time_ns
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Callable

INPUT_BYTES_DEFAULT: Final = 16 * 1024
INPUT_BYTES_MAX: Final = 1024 * 1024
CPU_S_DEFAULT: Final = 0.05
PAUSE: Final = 10
"""For how many times as long as an evaluation took inputs of its size are not evaluated."""

OVER: Final = object()
"""What there is where an evaluation may not be made, or took too long."""


class WorkBound:
    """The bound of one policy.

    Args:
        place: The setting, for errors.
        max_input_bytes: Largest input, as JSON, 256 to 1048576 bytes.
        max_cpu_s: Most seconds of a processor that one evaluation may take, 0.001 to 10.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_max_bytes", "_max_ns", "_paused_bytes", "_until_ns")

    def __init__(self, place: str, max_input_bytes: int, max_cpu_s: float) -> None:
        if not 256 <= max_input_bytes <= INPUT_BYTES_MAX:
            expected = f"256 to {INPUT_BYTES_MAX} bytes"
            raise error_for("configuration_invalid", f"{place}.max_input_bytes", expected, max_input_bytes)
        if not 0.001 <= max_cpu_s <= 10:
            raise error_for("configuration_invalid", f"{place}.max_cpu_s", "0.001 to 10 seconds", max_cpu_s)
        self._max_bytes, self._max_ns = max_input_bytes, int(max_cpu_s * 1e9)
        self._paused_bytes, self._until_ns = 0, 0

    def run(self, size: int, call: Callable[[Any], Any], given: Any) -> Any:
        """Return what an evaluation gives, or ``OVER``; raises what it raises.

        Args:
            size: Of its input as JSON, in bytes.
            call: The evaluation.
            given: Its argument.
        """
        if size > self._max_bytes or (self._until_ns and self._is_paused(size)):
            return OVER
        started_ns, used_ns = thread_time_ns(), 0
        try:
            found = call(given)
        finally:
            used_ns = thread_time_ns() - started_ns
            if used_ns > self._max_ns:
                self._pause(size, used_ns)
        return OVER if used_ns > self._max_ns else found

    def _is_paused(self, size: int) -> bool:
        if monotonic_ns() >= self._until_ns:
            self._until_ns = 0
            return False
        return size >= self._paused_bytes

    def _pause(self, size: int, used_ns: int) -> None:
        """Leave inputs as large alone for a while; the smaller ones are the others' and go on."""
        self._paused_bytes = min(size, self._paused_bytes) if self._until_ns else size
        self._until_ns = max(self._until_ns, monotonic_ns() + used_ns * PAUSE)

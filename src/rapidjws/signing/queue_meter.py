"""What a signing queue tells of its work, for whoever counts it."""

from __future__ import annotations

from typing import Literal, Protocol

CallResult = Literal["ok", "failed", "slow"]


class QueueMeter(Protocol):
    """Counts what a queue does; it is called on the way of signatures, so it neither waits nor raises."""

    def depth(self, waiting: int, /) -> None:
        """Take how many requests wait."""

    def waited(self, seconds: float, /) -> None:
        """Take how long a request waited until its signer was called."""

    def joined(self) -> None:
        """Count a request that was put beside an equal one."""

    def refused(self, code: str, /) -> None:
        """Count a request that got no signature, by the error's code."""

    def called(self, number: int, result: CallResult, /, *, is_open: bool) -> None:
        """Count a call of a signer.

        Args:
            number: Its place among the queue's signers, from 0 on.
            result: ``"slow"``: it signed, but took longer than a signature may.
            is_open: Whether it is left alone from now on.
        """

    def rate(self, number: int, per_second: float | None, /) -> None:
        """Take how many calls a second a signer gets at most; None for no bound."""

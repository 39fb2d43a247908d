"""The signer of checkpoints by a key outside of this process: a KMS, or a token of PKCS#11.

It may be slow or away. Records wait for no signature: a checkpoint that got none is signed with the next.
"""

from __future__ import annotations

from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Final

from rapidjws._checks import check_range
from rapidjws.audit.notes import NoteKey, public_of
from rapidjws.errors import error_for
from rapidjws.signing.signer import Signer
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S: Final = 10.0
"""Longest wait for a signature; meanwhile tiles are not written, and records are taken."""

_PLACE: Final = "audit"


class CheckpointSigner:
    """A signer that is made where it can be had, and waited for within a bound.

    Args:
        make: Returns the signer, or raises where it cannot be had.
        known: The log's key as the configuration has it: then the signer may be away at the start; None asks
            it at once.
        wait_s: Longest wait for a signature.

    Raises:
        RapidJWSError: The signer's, without ``known``.
    """

    def __init__(self, make: Callable[[], Signer], known: NoteKey | None, *, wait_s: float = WAIT_S) -> None:
        check_range("wait_s", wait_s, 0.01, 60)
        self._make, self._wait_s = make, wait_s
        self._signer: Signer | None = None
        self._task: Task[bytes] | None = None
        if known is None:
            self._signer = make()
            self.public, self.alg = public_of(self._signer), self._signer.alg
        else:
            self.public, self.alg = known.jwk, known.alg

    @property
    def kid(self) -> str | None:
        """Return the key's kid."""
        return self.public.kid

    def sign(self, signing_input: bytes) -> bytes:
        """Return the signature.

        Raises:
            DependencyUnavailable: ``signer_unavailable``: none within the bound, or the one before hangs.
            RapidJWSError: The signer's.
        """
        before = self._task
        if before is not None and not before.future.done():
            raise error_for("signer_unavailable", _PLACE, actual="the call before has no answer yet")
        self._task = task = Task(lambda: self._signature(signing_input))
        if not submit(task) and task.take_back() is not None:
            self._task = None
            raise error_for("signer_unavailable", _PLACE, actual="no thread")
        try:
            return task.future.result(self._wait_s)
        except FutureTimeout:
            raise error_for("signer_unavailable", _PLACE, actual=f"no answer in {self._wait_s} s") from None

    def _signature(self, signing_input: bytes) -> bytes:
        if self._signer is None:
            made = self._make()
            public = public_of(made)
            if (public.thumbprint(), made.alg) != (self.public.thumbprint(), self.alg):
                raise error_for("signer_refused", _PLACE, "the key of log_key", "another key")
            self._signer = made
        return self._signer.sign(signing_input)

    def __repr__(self) -> str:
        return f"CheckpointSigner(alg={self.alg!r})"

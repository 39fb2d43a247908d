"""Detached payloads of any size, hashed as they are read (RFC 7515 appendix F, RFC 7797).

Memory does not grow with the payload: every signature has its digest in the core, fed piece by piece
outside the GIL, and the keys are chosen before the first piece is read. EdDSA and ML-DSA sign the payload
itself, not a digest of it, so for these alone it is kept, up to a limit.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws._checks import is_text, refused
from rapidjws.errors import error_for
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.limits import WHOLE_PAYLOAD_MAX_BYTES
from rapidjws.jws.detached import check_is_detached, conclude, verify_whole
from rapidjws.jws.signature_checks import check_hope, record_status, signature_checks_of
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    from rapidjws.jws.detached import FormRules
    from rapidjws.jws.parsed_jws import ParsedJWS
    from rapidjws.jws.signature_checks import SignatureCheck
    from rapidjws.jws.signatures import SignaturePolicy
    from rapidjws.verify.pipeline import Snapshot
    from rapidjws.verify.result import VerifiedJWS

Buffer = bytes | bytearray | memoryview
Source = Any
"""A path; a binary file (``readinto`` or ``read``); bytes; an iterable of bytes. Async: an asynchronous one
too."""

PIECE_BYTES: Final = 256 * 1024
_INLINE_BYTES: Final = 64 * 1024
"""Pieces up to this size are hashed on the event loop's own thread: cheaper than a change of threads."""


class DetachedCheck:
    """The verification of one JWS against a payload that comes piece by piece.

    Args:
        snapshot: Keys.
        jws: The token.
        rules: What is accepted.
        policy: Which signatures must be good.
        max_whole_bytes: Largest payload for EdDSA and ML-DSA.

    Raises:
        TokenRefused: The token is refused whatever its payload is.
    """

    __slots__ = ("_found", "_is_encoded", "_lanes", "_max_whole_bytes", "_policy", "_snapshot", "_stream",
                 "_whole", "_whole_payload")  # fmt: skip

    def __init__(
        self,
        snapshot: Snapshot,
        jws: ParsedJWS,
        rules: FormRules,
        policy: SignaturePolicy,
        *,
        max_whole_bytes: int = WHOLE_PAYLOAD_MAX_BYTES,
    ) -> None:
        check_is_detached(jws)
        self._snapshot = snapshot
        self._policy = policy
        self._max_whole_bytes = max_whole_bytes
        self._found, self._is_encoded = signature_checks_of(
            snapshot, jws, allow_unprotected_alg=rules.allow_unprotected_alg
        )
        check_hope(snapshot, self._found, policy)
        self._stream = _native.NativeStream(snapshot.native, encoded=self._is_encoded)
        self._lanes: list[tuple[SignatureCheck, int]] = []
        self._whole: list[SignatureCheck] = []
        self._whole_payload = bytearray()
        for one in self._found:
            if one.error is None:
                if ALGORITHM_TABLE[snapshot.slots[one.slot][0].alg].digest is None:
                    self._whole.append(one)
                else:
                    self._lanes.append((one, self._stream.add(one.slot, one.prefix)))

    def update(self, piece: Buffer) -> None:
        """Take the next piece of the payload.

        Raises:
            TypeError: Not bytes.
            TokenRefused: The payload is too large for the signatures that would be needed.
        """
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise TypeError(f"a payload is bytes, not {type(piece).__name__}: open files in binary mode")
        view = memoryview(piece).cast("B")
        if self._whole:
            self._keep(view)
        for start in range(0, len(view), PIECE_BYTES):
            self._stream.update(view[start : start + PIECE_BYTES])

    def _keep(self, piece: memoryview) -> None:
        """Keep a piece for the algorithms that need the whole payload, or refuse their signatures."""
        total = len(self._whole_payload) + len(piece)
        if total <= self._max_whole_bytes:
            self._whole_payload += piece
            return
        self._whole_payload = bytearray()
        for one in self._whole:
            alg = self._snapshot.slots[one.slot][0].alg
            limit = (
                f"at most {self._max_whole_bytes} bytes: {alg} signs the whole payload, not a digest of it"
            )
            one.error = error_for("too_large", "payload", limit)
        self._whole = []
        check_hope(self._snapshot, self._found, self._policy)

    def finalize(self, kept: bytes | None = None) -> VerifiedJWS:
        """Verify every signature and conclude.

        Args:
            kept: The payload, where the caller has it in memory.

        Raises:
            TokenRefused: Why it is refused.
        """
        for one, lane in self._lanes:
            record_status(self._snapshot, one, self._stream.verify(lane, one.signature))
        if self._whole:
            payload = bytes(self._whole_payload)
            signed = _native.b64url_encode(payload) if self._is_encoded else payload
            for one in self._whole:
                verify_whole(self._snapshot, one, signed)
        verified = conclude(self._snapshot, self._found, self._policy)
        verified._payload = kept
        return verified


def pieces_of(source: Source) -> Iterator[Buffer]:
    """Yield a payload in pieces; a yielded piece is good until the next one is asked for.

    Raises:
        TypeError: Not a path, a binary file, bytes, or an iterable of bytes.
        OSError: Reading failed.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield source
    elif isinstance(source, (str, os.PathLike)):
        if isinstance(source, str) and not is_text(source):
            raise refused("payload", "a path", source)
        with open(source, "rb", buffering=0) as file:
            yield from _read_into(file.readinto)
    elif callable(getattr(source, "readinto", None)):
        yield from _read_into(source.readinto)
    elif callable(getattr(source, "read", None)):
        while piece := _piece_read(source.read(PIECE_BYTES)):
            yield piece
    elif isinstance(source, Iterable):
        yield from source
    else:
        raise TypeError(f"a payload is a path, a binary file, bytes or chunks, not {type(source).__name__}")


def _read_into(read_into: Any) -> Iterator[memoryview]:
    view = memoryview(bytearray(PIECE_BYTES))
    while count := _piece_read(read_into(view)):
        yield view[:count]


def _piece_read(piece: Any) -> Any:
    """Return what a read gave; None would look like the end of the payload."""
    if piece is None:
        raise BlockingIOError("the payload's file is non-blocking and has no data now")
    return piece


def verify_stream(check: DetachedCheck, source: Source) -> VerifiedJWS:
    """Verify against a payload that is read here."""
    for piece in pieces_of(source):
        check.update(piece)
    return check.finalize()


async def verify_async_stream(check: DetachedCheck, source: Source) -> VerifiedJWS:
    """Verify against a payload that is read here, without holding up the event loop.

    Raises:
        InternalError: ``internal_error``: reading needs a thread, and none can be had.
    """
    import asyncio

    if not (isinstance(source, AsyncIterable) or asyncio.iscoroutinefunction(getattr(source, "read", None))):
        context = copy_context()  # of the caller, for what the source does
        return await call_on_thread(partial(context.run, verify_stream, check, source))
    async for piece in _async_pieces(source):
        if memoryview(piece).nbytes > _INLINE_BYTES:
            await call_on_thread(partial(check.update, piece), inline=True)
        else:
            check.update(piece)
    return await call_on_thread(check.finalize, inline=True)


async def _async_pieces(source: Source) -> AsyncIterator[Buffer]:
    if isinstance(source, AsyncIterable):
        async for piece in source:
            yield piece
        return
    while piece := _piece_read(await source.read(PIECE_BYTES)):
        yield piece

"""Batches of tokens in Arrow columns, and batches of verdicts and claims that come of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws._checks import checked
from rapidjws.bulk.arrow import pa, pc
from rapidjws.bulk.claims import ClaimColumn, checked_claims
from rapidjws.bulk.columns import (
    NO_MOMENT,
    binary_array,
    octets_of,
    offset_bytes,
    times_ns,
    with_payloads,
)
from rapidjws.errors import CODES, error_for
from rapidjws.jose.numeric_date import moment_ns
from rapidjws.jws.verifier import Verifier
from rapidjws.jwt.clock import wall_clock_ns
from rapidjws.jwt.engine import Engine
from rapidjws.verify import column as columns
from rapidjws.verify.parallel import checked_workers
from rapidjws.verify.pieces import results_of
from rapidjws.verify.result import VerifiedJWS

if TYPE_CHECKING:
    from rapidjws.verify.pipeline import Snapshot

CHUNK_ROWS: Final = 2048
"""Tokens that go to the core in one call."""

_CODES: Final = ("internal_error", "ok", *(code for code in CODES if code != "internal_error"))
"""Zero is a refusal: what nobody decided reads as such."""
_NUMBERS: Final = {code: number for number, code in enumerate(_CODES)}
_OK: Final = _NUMBERS["ok"]
_OUTCOMES: Final = tuple("permit" if code == "ok" else CODES[code].outcome for code in _CODES)

_Chunk = tuple[Any, list[Any]]


class _Batch:
    """One batch's tokens, ready for the core, and the keys and rules for all of them."""

    __slots__ = ("now_ns", "size", "snapshot", "times", "tokens")

    def __init__(self, snapshot: Snapshot, tokens: Any, times: Any, now_ns: int, workers: int) -> None:
        self.snapshot = snapshot
        self.tokens = tokens
        self.times = times
        self.now_ns = now_ns
        self.size = max(64, min(CHUNK_ROWS, -(-len(tokens) // (2 * workers))))


@checked(but=("verifier",))
class BulkVerifier:
    """The verdicts on tokens in columns: what ``Engine.verify`` says of each, for millions of them.

    A batch's rows come back in order and number. Verdicts are not counted in metrics.

    Args:
        verifier: An ``Engine``; or a ``Verifier``, whose tokens have no claims.
        token: The column of tokens, JWS Compact Serializations: strings or binary values.
        payload: The column of detached payloads (RFC 7515 appendix F), or None. Where a row has none, its
            token must have its own.
        time: The column with the moment of each token's check: timestamps, or seconds since the epoch; None
            for ``now``, which also stands for a null.
        claims: Claims of accepted tokens to give as columns, with their kinds: ``"string"``, ``"int64"``,
            ``"float64"``, ``"bool"``, ``"timestamp"`` (a NumericDate) or ``"json"`` (its text as it was
            signed). A claim that is absent or of another type is null, and so is every claim of a refused
            token.
        keep: The columns that stay; by default all but token and payload.
        now: Seconds since the epoch; by default the wall clock at each batch.
        workers: Threads; by default one a core.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(
        self,
        verifier: Engine | Verifier,
        *,
        token: str = "token",
        payload: str | None = None,
        time: str | None = None,
        claims: Mapping[str, str] | None = None,
        keep: Sequence[str] | None = None,
        now: float | None = None,
        workers: int | None = None,
    ) -> None:
        if not isinstance(verifier, (Engine, Verifier)):
            raise error_for(
                "configuration_invalid", "verifier", "an Engine or a Verifier", type(verifier).__name__
            )
        if claims and isinstance(verifier, Verifier):
            raise error_for("configuration_invalid", "claims", "an Engine, which checks them", "a Verifier")
        self._owner = verifier
        self._token, self._payload, self._time = token, payload, time
        self._claims = checked_claims(claims or {})
        self._keep = None if keep is None else tuple(keep)
        self._now_ns = None if now is None else moment_ns(now)
        self._workers = checked_workers(workers)

    def schema(self, given: Any) -> Any:
        """Return the schema of the batches that come of batches with this one.

        Args:
            given: A Schema of pyarrow.

        Raises:
            ConfigurationError: ``configuration_invalid``: a column that is missing, there twice, or of
                another type.
        """
        if not isinstance(given, pa.Schema):
            raise error_for("configuration_invalid", "given", "a pyarrow.Schema", type(given).__name__)
        self._check_columns(given)
        fields = [given.field(name) for name in self._kept(given)]
        fields += [pa.field("verdict", pa.string(), nullable=False), pa.field("code", pa.string(), False)]
        fields += [pa.field(claim.name, claim.type) for claim in self._claims]
        names = [field.name for field in fields]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise error_for("configuration_invalid", f"column.{twice[0]}", "one column of this name", "two")
        return pa.schema(fields)

    def verify_batch(self, batch: Any) -> Any:
        """Verify the tokens of a batch.

        Args:
            batch: A RecordBatch of pyarrow; or a Table, for which a Table comes back.

        Returns:
            As many rows, in the same order: the columns that stay, ``verdict`` (``permit``, ``deny``,
            ``indeterminate``), ``code`` (``ok``, or why not), and the claims.

        Raises:
            ConfigurationError: As ``schema``.
            DependencyUnavailable: ``clock_implausible``: the wall clock lies before this release.
        """
        if isinstance(batch, pa.Table):
            schema = self.schema(batch.schema)
            return pa.Table.from_batches([self.verify_batch(one) for one in batch.to_batches()], schema)
        if not isinstance(batch, pa.RecordBatch):
            raise error_for("configuration_invalid", "batch", "a pyarrow.RecordBatch", type(batch).__name__)
        schema = self.schema(batch.schema)
        tokens = binary_array(batch.column(self._token), self._token)
        if self._payload is not None:
            tokens = with_payloads(tokens, binary_array(batch.column(self._payload), self._payload))
        now_ns = self._moment_ns()
        times = None
        if self._time is not None:
            times = pc.fill_null(times_ns(batch.column(self._time), self._time), now_ns)
        work = _Batch(columns.snapshot_of(self._owner), tokens, times, now_ns, self._workers)
        codes, claims = self._verify(work)
        kept = [batch.column(name) for name in self._kept(batch.schema)]
        found = [pc.take(pa.array(words, pa.string()), codes) for words in (_OUTCOMES, _CODES)]
        return pa.RecordBatch.from_arrays([*kept, *found, *claims], schema=schema)

    @property
    def workers(self) -> int:
        """Return how many threads verify."""
        return self._workers

    def __call__(self, batch: Any) -> Any:
        """Return what ``verify_batch`` does."""
        return self.verify_batch(batch)

    def _moment_ns(self) -> int:
        return wall_clock_ns() if self._now_ns is None else self._now_ns

    def _check_columns(self, given: Any) -> None:
        """Refuse a schema that lacks a column, has it twice, or has one of another type."""
        mine = [
            name for name in (self._token, self._payload, self._time) if given.names.count(name or "") == 1
        ]
        empty: dict[str | None, Any] = {name: pa.array([], given.field(name).type) for name in mine}
        for name in dict.fromkeys((self._token, self._payload, self._time, *(self._keep or ()))):
            if name is not None and given.names.count(name) != 1:
                found = f"{given.names.count(name)} of {', '.join(given.names[:20])}"
                raise error_for("configuration_invalid", f"column.{name}", "one column of this name", found)
        binary_array(empty[self._token], f"column.{self._token}")
        if self._payload is not None:
            binary_array(empty[self._payload], f"column.{self._payload}")
        if self._time is not None:
            times_ns(empty[self._time], f"column.{self._time}")

    def _kept(self, given: Any) -> list[str]:
        if self._keep is not None:
            return list(self._keep)
        return [name for name in given.names if name not in (self._token, self._payload)]

    def _verify(self, work: _Batch) -> _Chunk:
        """Return the numbers of the codes and the claims of a whole batch."""
        count = len(work.tokens)
        starts = range(0, count, work.size)
        pieces = results_of(
            lambda piece: self._chunk(work, starts[piece], min(count, starts[piece] + work.size)),
            len(starts),
            self._workers,
        )
        parts: list[_Chunk] = []
        for start, piece in zip(starts, pieces, strict=True):
            size = min(work.size, count - start)
            if piece is None or len(piece[0]) != size or any(len(one) != size for one in piece[1]):
                piece = self._refused(size)  # a part of another length would move all that follows
            parts.append(piece)
        if not parts:
            parts = [self._refused(0)]
        codes = pa.concat_arrays([part[0] for part in parts])
        claims = [pa.concat_arrays([part[1][at] for part in parts]) for at in range(len(self._claims))]
        return codes, claims

    def _refused(self, size: int) -> _Chunk:
        codes = pa.array([_NUMBERS["internal_error"]] * size, pa.uint16())
        return codes, [pa.nulls(size, claim.type) for claim in self._claims]

    def _chunk(self, work: _Batch, start: int, end: int) -> _Chunk:
        """Return the numbers of the codes and the claims of some rows."""
        count = end - start
        tokens = work.tokens.slice(start, count)
        times = None if work.times is None else work.times.slice(start, count)
        verdicts, memory = self._decided_by_core(work, tokens, times)
        plain = pc.equal(pc.bit_wise_and(verdicts, columns.PLAIN_BITS), columns.PLAIN_OK)
        plain = pc.and_(plain, tokens.is_valid())  # below a null may lie anything
        if times is not None:
            plain = pc.and_(plain, pc.not_equal(times, NO_MOMENT))
        if work.snapshot.post_checks is not None:
            plain = pc.and_(plain, False)
        codes = pc.if_else(plain, pa.scalar(_OK, pa.uint16()), pa.scalar(0, pa.uint16()))
        completed: dict[int, VerifiedJWS] = {}
        open_rows = pc.indices_nonzero(pc.invert(plain)).to_pylist()
        if open_rows:
            numbers = codes.to_pylist()
            for row in open_rows:
                moment = work.now_ns if times is None else times[row].as_py()
                numbers[row] = self._completed_code(work, tokens[row], verdicts[row].as_py(), moment,
                                                    completed, row)  # fmt: skip
            codes = pa.array(numbers, pa.uint16())
        permitted = pc.equal(codes, _OK)
        claims = [
            self._claim(work, claim, cells, tokens, verdicts, permitted, completed)
            for claim, cells in zip(self._claims, memory, strict=True)
        ]
        return codes, claims

    def _decided_by_core(
        self, work: _Batch, tokens: Any, times: Any
    ) -> tuple[Any, list[_native.ClaimMemory]]:
        """Return the core's verdicts, and the memory with the claims."""
        count = len(tokens)
        _, offsets, data = tokens.buffers()
        moments = None
        if times is not None:
            clear = pc.max_element_wise(times, 0)
            moments = memoryview(clear.buffers()[1])[8 * clear.offset :]
        column = _native.TokenColumn(data, offsets, offset_bytes(tokens), tokens.offset, count, moments)
        verdicts = pa.allocate_buffer(8 * max(1, count))
        token_bytes = pc.sum(pc.binary_length(tokens)).as_py() or 0
        memory = [claim.memory(count, token_bytes) for claim in self._claims]
        columns.verify_column(work.snapshot, column, memoryview(verdicts), memory, work.now_ns)
        return pa.Array.from_buffers(pa.uint64(), count, [None, verdicts]), memory

    def _completed_code(
        self, work: _Batch, token: Any, verdict: int, now_ns: int, completed: dict[int, VerifiedJWS], row: int
    ) -> int:
        """Return the number of the code of a row that the core left open; an accepted one is put aside."""
        octets = octets_of(token)
        if octets is None:
            return _NUMBERS["malformed_token"]
        if now_ns == NO_MOMENT:
            return _NUMBERS["clock_implausible"]
        result = columns.completed(work.snapshot, octets, verdict, now_ns)
        if isinstance(result, VerifiedJWS):
            result = columns.checked_after(work.snapshot, result, now_ns)
        if isinstance(result, VerifiedJWS):
            completed[row] = result
            return _OK
        return _NUMBERS[result.code]

    def _claim(
        self,
        work: _Batch,
        claim: ClaimColumn,
        memory: _native.ClaimMemory,
        tokens: Any,
        verdicts: Any,
        permitted: Any,
        completed: Mapping[int, VerifiedJWS],
    ) -> Any:
        """Return one claim's column: null where the token was refused."""
        count = len(tokens)
        states = pa.Array.from_buffers(pa.uint8(), count, [None, memory.states])
        left = pc.indices_nonzero(pc.and_(pc.equal(states, _native.CLAIM_LEFT), permitted)).to_pylist()
        found: dict[int, Any] = {}
        for row in {*left, *completed}:
            verified = completed.get(row)
            if verified is None:
                octets = octets_of(tokens[row]) or b""
                verified = work.snapshot.accept(octets, verdicts[row].as_py() >> 9)
            found[row] = claim.value_of(verified)
        values = claim.patched(claim.values(memory, count), found)
        return pc.if_else(permitted, values, pa.scalar(None, claim.type))

"""The verification of a trail's records: each token again, under the keys and the policy of its time."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import accumulate, product
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws._version import __version__
from rapidjws.audit.bundle_check import BundleCheck
from rapidjws.audit.content_check import ContentCheck
from rapidjws.audit.engine_store import EngineStore
from rapidjws.audit.record_results import SECOND_US, RecordResults, Wanted
from rapidjws.audit.records import DECISION, ERASURE, FIELDS, GAP, WHOLE_MAX, parsed_record
from rapidjws.errors import CODES, RapidJWSError
from rapidjws.jwt.decision import OK
from rapidjws.verify import column as columns
from rapidjws.verify.result import VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rapidjws.jwt.engine import Engine
    from rapidjws.verify.pipeline import Snapshot

WRITTEN_WITHIN_US: Final = 50_000
"""How much later than its decision a record may be made."""

STATEFUL: Final = frozenset({"policy", "unavailable", "configuration"})
"""Reasons that no token alone gives: replay, revocation, scopes of a route, an outage."""

SHAPES_MAX: Final = 65_536
_KEYS: Final = frozenset(FIELDS)


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """What records of one shape have in common."""

    record: dict[str, Any]
    group: tuple[str, str]
    code: str
    key: str | None
    is_wanted: bool
    rests_on_more: str | None
    """Why its tokens alone cannot give the verdict again."""


_Row = tuple[int, bytes, dict[str, Any]]
"""A record's index, its token and its fields."""

_Tokens = dict[tuple[str, str], list[_Row]]
"""Tokens that are verified together, by policy and key table."""


class RecordCheck:
    """The verification of the records of one bundle after another, by one thread.

    Args:
        engines: The engines of all threads.
        wanted: Which records are looked at again.
        contents: Reads what is stored beside records.
    """

    def __init__(self, engines: EngineStore, wanted: Wanted, contents: ContentCheck) -> None:
        self._engines, self._wanted, self._contents = engines, wanted, contents
        self._shapes: dict[bytes, _Shape | None] = {}
        self.results = RecordResults()

    def run(self, bundle: BundleCheck) -> None:
        """Verify the records of the bundle that was read last."""
        scan = bundle.scan
        if bundle.is_opened and bundle.has_before(self._contents.erased.before_us):
            bundle.read_sealed()  # erased, as the log says: not verified, though its key is left
        shapes = [self._shape(text) for text in scan.shape_texts]
        times = scan.times_ns()
        if scan.states.count(_native.RECORD_READ) == bundle.count and None not in shapes:
            group = self._plain_group(bundle, shapes, times)
            if group is not None:
                engine = self._engines.engine(*group, bundle.first, self.results)
                if engine is None:
                    self.results.not_verified_again["keys or policy not stored"] += bundle.count
                else:
                    self._whole(engine, bundle, shapes, times)
                return
        rows = [
            shapes[number] if state else None for number, state in zip(scan.shapes, scan.states, strict=True)
        ]
        for (policy, generation), members in self._groups(bundle, rows, times).items():
            engine = self._engines.engine(policy, generation, bundle.first + members[0], self.results)
            if engine is None:
                self.results.not_verified_again["keys or policy not stored"] += len(members)
            else:
                self._again(engine, bundle, members, rows, times)

    def _plain_group(
        self, bundle: BundleCheck, shapes: Sequence[_Shape | None], times: list[int]
    ) -> tuple[str, str] | None:
        """Return the group of all records, where no clock stepped back and each is wanted; else None."""
        group = shapes[0].group if shapes[0] is not None else None
        results = self.results
        whole = not self._wanted.has_times and times == sorted(times)
        whole = whole and (results.last_us is None or times[0] // 1000 >= results.last_us)
        for shape in shapes if whole else ():
            if (
                shape is None
                or shape.group != group
                or not shape.is_wanted
                or shape.rests_on_more is not None
            ):
                return None
        if not whole or group is None:
            return None
        results.pass_time(times[0] // 1000)
        results.pass_time(times[-1] // 1000)
        results.records += bundle.count
        return group

    def _groups(
        self, bundle: BundleCheck, rows: Sequence[_Shape | None], times: Sequence[int]
    ) -> dict[tuple[str, str], Sequence[int]]:
        """Return the records to be verified together, by policy and key table; verify what the core left."""
        groups: dict[tuple[str, str], list[int]] = {}
        left = _Left(bundle) if None in rows else None
        tokens: _Tokens = {}
        for at, shape in enumerate(rows):
            if shape is None:
                assert left is not None
                self._left(left, at, tokens)
                continue
            time_us = times[at] // 1000
            self.results.pass_time(time_us)
            if not shape.is_wanted or not self._wanted.takes_time(time_us):
                continue
            self.results.records += 1
            if shape.rests_on_more is None:
                groups.setdefault(shape.group, []).append(at)
            else:
                self.results.not_verified_again[shape.rests_on_more] += 1
        for (policy, generation), members in tokens.items():
            engine = self._engines.engine(policy, generation, members[0][0], self.results)
            if engine is None:
                self.results.not_verified_again["keys or policy not stored"] += len(members)
            else:
                self._together(engine, members)
        return dict(groups)

    def _shape(self, text: bytes) -> _Shape | None:
        """Return what a shape says; None where each of its records is to be read."""
        if text not in self._shapes:
            if len(self._shapes) >= SHAPES_MAX:
                self._shapes.clear()
            self._shapes[text] = self._read_shape(text)
        return self._shapes[text]

    def _read_shape(self, text: bytes) -> _Shape | None:
        try:
            record = parsed_record(text, "record")
        except RapidJWSError:
            return None
        if record.get("kind") != DECISION or record.keys() != _KEYS or record["token"] is None:
            return None
        if not _is_typed(record):
            return None
        return _Shape(record, (record["policy"], record["generation"]), record["code"], record["key"],
                      self._wanted.takes_shape(record), _rests_on_more(record["code"]))  # fmt: skip

    # --- records of a bundle together --------------------------------------------------------------------

    def _whole(
        self, engine: Engine, bundle: BundleCheck, shapes: Sequence[_Shape | None], times: Sequence[int]
    ) -> None:
        """Verify the tokens of all records of a bundle again; where they agree, none is looked at."""
        snapshot = columns.snapshot_of(engine)
        members = range(bundle.count)
        verdicts = _verdicts(snapshot, bundle, members, times)
        numbers = bundle.scan.shapes
        if snapshot.post_checks is None and all(
            self._is_agreed(snapshot, shapes[number], verdict)
            for number, verdict in set(zip(numbers, verdicts, strict=True))
        ):
            self.results.agreed += bundle.count
        else:
            rows = [shapes[number] for number in numbers]
            self._compare(engine, snapshot, bundle, zip(members, rows, verdicts, strict=True), times)

    def _again(
        self,
        engine: Engine,
        bundle: BundleCheck,
        members: Sequence[int],
        rows: Sequence[_Shape | None],
        times: Sequence[int],
    ) -> None:
        """Verify the tokens of some records again, each at its own moment."""
        snapshot = columns.snapshot_of(engine)
        verdicts = _verdicts(snapshot, bundle, members, times)
        shapes = [rows[at] for at in members]
        self._compare(engine, snapshot, bundle, zip(members, shapes, verdicts, strict=True), times)

    def _compare(
        self,
        engine: Engine,
        snapshot: Snapshot,
        bundle: BundleCheck,
        judged: Iterable[tuple[int, _Shape | None, int]],
        times: Sequence[int],
    ) -> None:
        """Compare the core's verdict on each of some records with the one that stands in it."""
        for at, shape, verdict in judged:
            assert shape is not None
            if snapshot.post_checks is None and self._is_agreed(snapshot, shape, verdict):
                self.results.agreed += 1
                continue
            row = (bundle.first + at, bundle.scan.token(at), shape.record)
            self._complete(engine, snapshot, row, verdict, times[at])

    def _complete(self, engine: Engine, snapshot: Snapshot, row: _Row, verdict: int, moment_ns: int) -> None:
        """Compare the whole verdict on a token, where the core's is not all of it, with its record."""
        index, token, record = row
        found = columns.completed(snapshot, token, verdict, moment_ns)
        if isinstance(found, VerifiedJWS):
            found = columns.checked_after(snapshot, found, moment_ns)
        code = OK if isinstance(found, VerifiedJWS) else found.code
        key = found.key_thumbprint if isinstance(found, VerifiedJWS) else None
        if code != record["code"]:
            self._alone(engine, token, record, moment_ns // 1000, index)
        else:
            self._agree(record, key, index)

    @staticmethod
    def _is_agreed(snapshot: Snapshot, shape: _Shape | None, verdict: int) -> bool:
        """Say whether the core accepted a token by the key of its record, and nothing else is to do."""
        return shape is not None and _agrees(snapshot, shape.code, shape.key, verdict)

    def _agree(self, record: dict[str, Any], key: str | None, index: int) -> None:
        """Count a verdict that is the same again, by the same key."""
        if key is not None and record["key"] not in (None, key):
            self.results.find("verdict_differs", f"record {index}", index, expected=str(record["key"]),
                            actual=key, cause="another key verifies")  # fmt: skip
        else:
            self.results.agreed += 1

    # --- records one by one ------------------------------------------------------------------------------

    def _left(self, left: _Left, at: int, tokens: _Tokens) -> None:
        """Read a record that the core left, and put its token to those that are verified together."""
        index = left.first + at
        record = self._record(index, left.entries[at])
        if record is None:
            return
        self.results.pass_time(record["time_us"])
        if not self._wanted.takes(record):
            return
        self.results.records += 1
        if left.is_altered_beside:
            self.results.not_verified_again["the file of contents is altered"] += 1
            return
        token = self._token(record, left.contents[at], index, left.place(at))
        if token is None:
            return
        tokens.setdefault((record["policy"], record["generation"]), []).append((index, token, record))

    def _together(self, engine: Engine, members: Sequence[_Row]) -> None:
        """Verify tokens that Python read at their own moments; where one does not agree, it alone again."""
        snapshot = columns.snapshot_of(engine)
        moments = [record["time_us"] * 1000 for _, _, record in members]
        verdicts = _verdicts_of(snapshot, [token for _, token, _ in members], moments)
        for row, verdict, moment_ns in zip(members, verdicts, moments, strict=True):
            record = row[2]
            if snapshot.post_checks is None and _agrees(snapshot, record["code"], record["key"], verdict):
                self.results.agreed += 1
            else:
                self._complete(engine, snapshot, row, verdict, moment_ns)

    def _record(self, index: int, entry: bytes) -> dict[str, Any] | None:
        """Return a decision's record; count gaps, and name entries that are none."""
        try:
            record = parsed_record(entry, f"record {index}")
        except RapidJWSError as fault:
            self.results.find("record_altered", str(fault.place), index,
                            cause="not a record in canonical form")  # fmt: skip
            return None
        if record.get("kind") == GAP and isinstance(lost := record.get("lost"), int) and lost >= 0:
            self.results.lost += lost
            self.results.not_verified_again["gap"] += 1
            return None
        if record.get("kind") == ERASURE:
            self.results.not_verified_again["record of an erasure"] += 1
            return None
        if record.get("kind") != DECISION or not record.keys() >= _KEYS:
            self.results.not_verified_again["another kind of record"] += 1
            return None
        if not _is_typed(record):
            self.results.find("record_altered", f"record {index}", index, cause="a field of another type")
            return None
        return record

    def _token(self, record: dict[str, Any], content: bytes, index: int, place: str) -> bytes | None:
        """Return the token of a record, where it is stored and as it was."""
        more = _rests_on_more(record["code"])
        token = self._contents.token(record, content, index, place, self.results)
        if token is not None and more is not None:
            self.results.not_verified_again[more] += 1
            return None
        return token

    def _alone(self, engine: Engine, token: bytes, record: dict[str, Any], time_us: int, index: int) -> None:
        """Verify one token at the moment of its record, or at that of its decision a little before."""
        code = ""
        forms: list[bytes | str] = [token] if token.isascii() else [token, token.decode("latin-1")]
        for before_us, form in product((0, WRITTEN_WITHIN_US), forms):
            try:
                found = engine.verify(form, (time_us - before_us) / SECOND_US)
                code = OK
            except RapidJWSError as refused:
                code = refused.code
            if code == record["code"]:
                self._agree(record, found.key_thumbprint if code == OK else None, index)
                return
        self._differs(record, index, code)

    def _differs(self, record: dict[str, Any], index: int, code: str) -> None:
        """Name a verdict that is another one now, unless a partner's rules alone made it."""
        if code == OK and record["partner"] is not None and record["code"] != OK:
            self.results.not_verified_again["refused by the partner's own rules"] += 1
            return
        engine = record["engine"]
        cause = (
            "the engine judges otherwise: see Verification outcomes in the CHANGELOG"
            if engine != __version__
            else "the token, its key or its policy is not what was decided on"
        )
        self.results.find("verdict_differs", f"record {index}", index, expected=record["code"], actual=code,
                        cause=f"{cause} (recorded by {engine})")  # fmt: skip


class _Left:
    """The records of a bundle with what is stored beside them, read by Python."""

    __slots__ = ("_path", "_starts", "contents", "entries", "first", "is_altered_beside")

    def __init__(self, bundle: BundleCheck) -> None:
        self.entries, self.contents = bundle.entries(), bundle.contents()
        self.first, self._path = bundle.first, bundle.content_path
        self._starts = [0, *accumulate(4 + len(one) for one in self.contents)]
        self.is_altered_beside = bundle.is_altered_beside

    def place(self, at: int) -> str:
        """Return where a record's content lies."""
        return f"{self._path}:{self._starts[at] if self.contents[at] else 0}"


def _is_typed(record: dict[str, Any]) -> bool:
    """Say whether the fields of a decision's record are text or null, and its time one that a clock has."""
    if any(not isinstance(record[name], (str, NoneType)) for name in _KEYS if name != "time_us"):
        return False
    return 0 <= record["time_us"] <= WHOLE_MAX and isinstance(record["code"], str)


def _rests_on_more(code: str) -> str | None:
    """Return why a token alone cannot give a verdict again, or None where it can."""
    stateful = code in CODES and CODES[code].reason in STATEFUL
    return f"{code}: rests on more than the token" if stateful else None


def _verdicts(
    snapshot: Snapshot, bundle: BundleCheck, members: Sequence[int], times: Sequence[int]
) -> array[int]:
    """Return the core's verdicts on the tokens of some records, each at its own moment."""
    if len(members) < bundle.count:
        tokens = [bundle.scan.token(at) for at in members]
        return _verdicts_of(snapshot, tokens, [times[at] for at in members])
    verdicts = array("Q", bytes(8 * len(members)))
    columns.verify_column(snapshot, bundle.scan.column(), memoryview(verdicts), (), 0)
    return verdicts


def _verdicts_of(snapshot: Snapshot, tokens: Sequence[bytes], moments: Sequence[int]) -> array[int]:
    """Return the core's verdicts on tokens, each at its own moment in nanoseconds."""
    ends = array("i", [0])
    for token in tokens:
        ends.append(ends[-1] + len(token))
    column = _native.TokenColumn(b"".join(tokens), ends, 4, 0, len(tokens), array("q", moments))
    verdicts = array("Q", bytes(8 * len(tokens)))
    columns.verify_column(snapshot, column, memoryview(verdicts), (), 0)
    return verdicts


def _agrees(snapshot: Snapshot, code: str, key: str | None, verdict: int) -> bool:
    """Say whether the core accepted a token by the key of its record, and nothing else is to do."""
    if code != OK or verdict & columns.PLAIN_BITS != columns.PLAIN_OK:
        return False
    return key is None or snapshot.table.slots[verdict >> 9].thumbprint == key

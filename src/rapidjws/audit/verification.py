"""The verification of a trail years later: its tree, then each token again under the keys of its time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import check_range, checked
from rapidjws.audit.bundle_check import FINDINGS_MAX, Finding, TreePart
from rapidjws.audit.content_check import ContentCheck
from rapidjws.audit.content_keys import ContentKeys
from rapidjws.audit.engine_store import EngineStore
from rapidjws.audit.merkle import TILE_WIDTH
from rapidjws.audit.record_check import RecordCheck
from rapidjws.audit.record_results import SECOND_US, RecordResults, Wanted
from rapidjws.audit.tile_files import LEFT_OUT
from rapidjws.audit.trail_reader import TrailReader
from rapidjws.audit.verification_progress import SavedPieces
from rapidjws.errors import RapidJWSError
from rapidjws.verify.pieces import results_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PIECE_BUNDLES: Final = 16
JOBS_MAX: Final = 256

_Piece = tuple[TreePart, RecordResults]


@checked
@dataclass(slots=True, kw_only=True)
class VerificationReport:
    """What a verification found.

    Attributes:
        origin: The log.
        size: The number of records.
        root: The root that is signed, in hexadecimal.
        records: How many were looked at.
        agreed: How many tokens gave the same verdict again.
        not_verified_again: Why others were not looked at again -> how many.
        lost: How many decisions gap records stand for.
        findings: What is not as it was signed or decided.
        resumed: How many records an interrupted run had looked at before.
        timestamps: How many time stamps are good.
        time_stamped: How many records the newest of them covers.
        time_stamped_at: Its time, or None.
        timestamps_unchecked: How many nobody looked at, for want of roots.
        is_empty: Whether no decision was looked at: an empty trail, or none that is wanted.
    """

    origin: str
    size: int
    root: str
    records: int = 0
    agreed: int = 0
    not_verified_again: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    findings: list[Finding] = field(default_factory=list)
    resumed: int = 0
    timestamps: int = 0
    time_stamped: int = 0
    time_stamped_at: str | None = None
    timestamps_unchecked: int = 0
    is_empty: bool = False

    @property
    def is_good(self) -> bool:
        """Return whether something was looked at, and nothing is altered, missing or judged otherwise."""
        return not self.findings and not self.is_empty

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "origin": self.origin,
            "size": self.size,
            "root": self.root,
            "good": self.is_good,
            "records": self.records,
            "agreed": self.agreed,
            "not_verified_again": dict(self.not_verified_again),
            "lost": self.lost,
            "resumed": self.resumed,
            "timestamps": self.timestamps,
            "time_stamped": self.time_stamped,
            "time_stamped_at": self.time_stamped_at,
            "timestamps_unchecked": self.timestamps_unchecked,
            "findings": [one.as_dict() for one in self.findings],
        }


class Verification:
    """A verification of a trail.

    Args:
        reader: The trail.
        wanted: Which records are looked at again; the tree is checked whole.
        jobs: Threads.
        progress: Called with how many records of how many are done, by any of the threads.
        saved: Keeps what is done, so that an interrupted run goes on there.
        keys: Decrypt what is stored beside records; without them it is proved, and not verified again.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked(under="verification")
    def __init__(
        self,
        reader: TrailReader,
        wanted: Wanted | None = None,
        *,
        jobs: int = 1,
        progress: Callable[[int, int], None] | None = None,
        saved: SavedPieces | None = None,
        keys: ContentKeys | None = None,
    ) -> None:
        check_range("jobs", jobs, 1, JOBS_MAX)
        self._reader = reader
        self._wanted = wanted or Wanted()
        self._jobs, self._progress, self._saved = jobs, progress, saved
        root = reader.checkpoint.root.hex()
        self.report = VerificationReport(origin=reader.checkpoint.origin, size=reader.size, root=root)
        self._engines = EngineStore(reader.folder)
        self._contents = ContentCheck(keys, is_partial=(reader.folder / LEFT_OUT).exists())
        self._bundles = (reader.size + TILE_WIDTH - 1) // TILE_WIDTH
        self._done = 0
        self._counting = threading.Lock()

    def run(self) -> VerificationReport:
        """Check the tree, and verify each token that is stored again.

        Raises:
            OSError: What is done cannot be kept.
        """
        try:
            self._contents.erased = self._reader.erased()
        except RapidJWSError as fault:
            cause = "the record of an erasure"
            self.report.findings.append(Finding(code="record_altered", place=str(fault.place), cause=cause))
        count = -(-self._bundles // PIECE_BUNDLES)
        before = {} if self._saved is None else self._saved.pieces(self._reader, self._wanted)
        due = [number for number in range(count) if number not in before]
        for number in before:
            self._count(number)
        self.report.resumed = self._done
        beside: list[Finding] | None = None
        pieces = dict(before)

        def work(at: int) -> bool:
            nonlocal beside
            if at == 0:  # the longest piece first
                beside = self._reader.check_beside()
            else:
                pieces[due[at - 1]] = self._piece(due[at - 1])
            return True

        results_of(work, len(due) + 1, self._jobs)
        for number in due:
            if number not in pieces:
                pieces[number] = self._piece(number)  # raises what it raised before
        self._conclude([pieces[number] for number in range(count)], beside)
        return self.report

    def _piece(self, number: int) -> _Piece:
        """Check and verify some bundles in a row."""
        bundles = self._reader.bundle_check()
        records = RecordCheck(self._engines, self._wanted, self._contents)
        opened = self._contents.opened if self._contents.has_keys else None
        for index in range(number * PIECE_BUNDLES, min((number + 1) * PIECE_BUNDLES, self._bundles)):
            if bundles.read(index, contents=True, opened=opened):
                records.run(bundles)
        if self._saved is not None:
            self._saved.keep(number, bundles.part, records.results)
        self._count(number)
        return bundles.part, records.results

    def _count(self, number: int) -> None:
        first = number * PIECE_BUNDLES * TILE_WIDTH
        with self._counting:
            self._done += min(PIECE_BUNDLES * TILE_WIDTH, self._reader.size - first)
            if self._progress is not None:
                self._progress(self._done, self._reader.size)

    def _conclude(self, pieces: Iterable[_Piece], beside: Sequence[Finding] | None) -> None:
        """Put the pieces together in their order."""
        report = self.report
        parts = []
        last_us: int | None = None
        for part, results in pieces:
            parts.append(part)
            report.records += results.records
            report.agreed += results.agreed
            report.not_verified_again.update(results.not_verified_again)
            report.lost += results.lost
            report.findings += results.findings[: FINDINGS_MAX - len(report.findings)]
            if (
                last_us is not None
                and results.first_us is not None
                and results.first_us < last_us - SECOND_US
            ):
                stepped = RecordResults()
                stepped.step_back()
                report.not_verified_again.update(stepped.not_verified_again)
            last_us = last_us if results.last_us is None else results.last_us
        report.findings += self._reader.conclude(parts, beside)
        report.is_empty = not report.records and (not report.size or self._wanted != Wanted())

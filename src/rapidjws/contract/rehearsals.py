"""What a partner's contract asks of an operator, done with the partner's own samples: an audit trail that is
verified once the key is gone, and a rollback of enforcement.
"""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rapidjws.audit import (
    DecisionRecorder,
    Sequencer,
    SequencerClient,
    TrailReader,
    TrailWriter,
    Verification,
    VerificationReport,
)
from rapidjws.audit.tile_files import tile_path
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jwt.engine import Engine
from rapidjws.rollout import GuardRails, MemoryState, Partner, Rollout
from rapidjws.rollout.rollout import first_plan
from rapidjws.signing.signer import LocalSigner
from rapidjws.testing.keys import make_key
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.audit.notes import NoteKey
    from rapidjws.contract.samples import Sample

ORIGIN: Final = "contract.check/audit"
BY: Final = "contract check"
FOLDER_PREFIX: Final = "rjws-audit-"


@dataclass(slots=True)
class _SampleClock:
    """The moment at which a sample is decided."""

    now_s: float

    def time(self) -> float:
        """Return the moment."""
        return self.now_s

    def monotonic(self) -> float:
        """Return the moment."""
        return self.now_s


def audit_rehearsal(engine: Engine, samples: Sequence[Sample], now_s: float) -> str | None:
    """Record a decision on each sample, verify the trail without the engine, then with one bit changed.

    Args:
        engine: As it is for the partner.
        samples: The partner's, good and bad.
        now_s: When those are decided that name no moment.

    Returns:
        What is wrong, or None.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as name:
            folder = Path(name) / "trail"
            key = _recorded(engine, samples, now_s, folder)
            report = Verification(TrailReader(folder, key)).run()
            if not report.is_good or report.agreed != len(samples):
                return _words(report, len(samples))
            bundle = folder / tile_path("entries", 0, len(samples))
            octets = bytearray(bundle.read_bytes())
            octets[len(octets) // 2] ^= 1
            bundle.write_bytes(octets)
            altered = Verification(TrailReader(folder, key)).run()
    except (RapidJWSError, OSError) as fault:
        return str(fault)
    return "a changed bit is not found" if altered.is_good else None


def _recorded(engine: Engine, samples: Sequence[Sample], now_s: float, folder: Path) -> NoteKey:
    """Write a trail of a decision on each sample; return its key."""
    writer = TrailWriter(folder, origin=ORIGIN, signer=LocalSigner(make_key("EdDSA")))
    sequencer = Sequencer(writer)
    stopping = threading.Event()
    task = Task(lambda: sequencer.run(stopping.is_set))
    if not submit(task) and task.take_back() is not None:
        sequencer.close()
        raise error_for("audit_unavailable", "contract check", actual="no thread for a sequencer")
    client = SequencerClient(sequencer.path)
    clock = _SampleClock(now_s)
    recorder = DecisionRecorder(engine, client, clock=clock)
    try:
        for sample in samples:
            clock.now_s = now_s if sample.check_at is None else sample.check_at
            made = engine.decide(sample.token, now=clock.now_s)
            if recorder.note_durably(made, sample.token) is not made:
                raise error_for("audit_unavailable", "contract check", actual="no record of a sample")
    finally:
        client.close()
        stopping.set()
        if task.take_back() is None:
            task.future.exception()  # until it has ended
        else:
            sequencer.close()
    return writer.key


def _words(report: VerificationReport, count: int) -> str:
    """Return what is wrong with a trail."""
    first = f": {report.findings[0].code} at {report.findings[0].place}" if report.findings else ""
    return f"{report.agreed} of {count} records verify again with the same verdict{first}"


def rollback_rehearsal(engine: Engine, bad: str, good: str, partner: str, now_s: float) -> str | None:
    """Enforce for the partner, roll back, and see that both the refusal and its end come at once.

    Args:
        engine: As it is for the partner.
        bad: A token that is to be refused.
        good: One that is to be accepted in every phase.
        partner: The partner's name.
        now_s: When all that is.

    Returns:
        What is wrong, or None.
    """
    try:
        state = MemoryState(first_plan("detection"))
        rails = GuardRails(min_evidence=0)
        policy = Rollout(
            [Partner(name=partner)], state=state, guard_rails=rails, partners_named=True, clock=lambda: now_s
        )
        staged = Engine(*engine.issuers, rollout=policy)
        for phase, expected in (("detection", "permit"), ("enforcement", "deny"), ("detection", "permit")):
            if phase == "enforcement":
                policy.promote(by=BY, partner=partner, to="enforcement", why="rehearsal", force=True)
            elif policy.history():
                policy.rollback(by=BY, partner=partner, to="detection", why="rehearsal")
            for token, outcome in ((bad, expected), (good, "permit")):
                made = staged.decide(token, now=now_s, partner=partner)
                if (made.outcome, made.phase) != (outcome, phase):
                    return f"{made.outcome} in {made.phase} where {outcome} in {phase} is due"
                if made.verified is not None and token is bad:
                    return "a bad token passes as a verified one"
        actions = [change.action for change in policy.history()]
    except RapidJWSError as fault:
        return str(fault)
    return None if actions == ["promote", "rollback"] else f"the history has {actions}"

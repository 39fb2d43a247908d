"""The audit trail: a tamper-evident log of decisions (C2SP tlog-tiles), read and verified years later."""

from rapidjws.audit.bundle_check import Finding
from rapidjws.audit.content_keys import ContentKeys
from rapidjws.audit.decision_recorder import DecisionRecorder, Selection
from rapidjws.audit.erasure import ErasureRequest
from rapidjws.audit.notes import Checkpoint, NoteKey
from rapidjws.audit.record_results import Wanted
from rapidjws.audit.sequencer import Sequencer
from rapidjws.audit.sequencer_client import SequencerClient
from rapidjws.audit.trail_reader import InclusionProof, TrailReader
from rapidjws.audit.trail_writer import TrailWriter
from rapidjws.audit.verification import Verification, VerificationReport
from rapidjws.audit.verification_progress import SavedPieces

__all__ = [
    "Checkpoint",
    "ContentKeys",
    "DecisionRecorder",
    "ErasureRequest",
    "Finding",
    "InclusionProof",
    "NoteKey",
    "SavedPieces",
    "Selection",
    "Sequencer",
    "SequencerClient",
    "TrailReader",
    "TrailWriter",
    "Verification",
    "VerificationReport",
    "Wanted",
]

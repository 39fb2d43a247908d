"""The audit trail: a tamper-evident log of decisions (C2SP tlog-tiles), read and verified years later."""

from rapidjws.audit.notes import Checkpoint, NoteKey
from rapidjws.audit.trail_reader import InclusionProof, TrailReader
from rapidjws.audit.trail_writer import TrailWriter
from rapidjws.audit.tree_check import Finding

__all__ = [
    "Checkpoint",
    "Finding",
    "InclusionProof",
    "NoteKey",
    "TrailReader",
    "TrailWriter",
]

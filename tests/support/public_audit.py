"""Good arguments for the public callables of the audit trail; see ``public_recipes``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audit_trails import ORIGIN, signer, whole
from public_callables import exported

from rapidjws.audit import NoteKey, TrailReader

P = exported()
Recipe = dict[str, Any]


def trail() -> TrailReader:
    """Return a trail of three records."""
    return whole(Path(tempfile.mkdtemp(prefix="rapidjws-walk-")), 3)


def key() -> NoteKey:
    """Return the log's key."""
    return NoteKey(ORIGIN, signer().public, "EdDSA")


def written() -> Any:
    """Return a writer of a new trail."""
    return P["TrailWriter"](tempfile.mkdtemp(prefix="rapidjws-walk-"), origin=ORIGIN, signer=signer())


OWNERS: dict[str, Callable[[], Any]] = {
    "InclusionProof": lambda: trail().prove(1),
    "NoteKey": key,
    "TrailReader": trail,
    "TrailWriter": written,
}
RECIPES: dict[str, Callable[[], Recipe]] = {
    "Checkpoint": lambda: {"origin": ORIGIN, "size": 1, "root": bytes(32)},
    "Checkpoint.opened": lambda: {"octets": trail().note, "keys": [key()]},
    "Finding": lambda: {"code": "gap", "place": "record 3"},
    "InclusionProof": lambda: {
        name: getattr(trail().prove(1), name) for name in ("index", "size", "path", "entry", "checkpoint")
    },
    "InclusionProof.verify": lambda: {"key": key()},
    "NoteKey": lambda: {"name": ORIGIN, "jwk": signer().public, "alg": "EdDSA"},
    "NoteKey.from_text": lambda: {"text": key().text},
    "NoteKey.verifies": lambda: {"text": b"x\n", "signature": bytes(64)},
    "TrailReader": lambda: {"folder": str(trail().folder), "key": key()},
    "TrailReader.prove": lambda: {"index": 1},
    "TrailReader.prove_consistency": lambda: {"earlier": trail().checkpoint},
    "TrailReader.record": lambda: {"index": 1},
    "TrailWriter": lambda: {
        "folder": tempfile.mkdtemp(prefix="rapidjws-walk-"), "origin": ORIGIN, "signer": signer(),
    },
    "TrailWriter.append": lambda: {"entries": [b"{}"]},
    "TrailWriter.write": lambda: {"due": written().prepare()},
}  # fmt: skip

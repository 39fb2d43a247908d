"""Good arguments for the public callables of the audit trail; see ``public_recipes``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from audit_trails import ORIGIN, signer, whole
from public_callables import exported
from scratch import new_folder

from rapidjws import Engine, Issuer, JWKSet
from rapidjws.audit import NoteKey, TrailReader
from rapidjws.audit.record_results import RecordResults
from rapidjws.audit.records import RecordContext
from rapidjws.testing import make_key

P = exported()
Recipe = dict[str, Any]
ROW = (RecordContext({}), 1, None, None, None, None, None, False)


def trail() -> TrailReader:
    """Return a trail of three records."""
    return whole(new_folder(), 3)


def key() -> NoteKey:
    """Return the log's key."""
    return NoteKey(ORIGIN, signer().public, "EdDSA")


def written() -> Any:
    """Return a writer of a new trail."""
    return P["TrailWriter"](str(new_folder()), origin=ORIGIN, signer=signer())


@functools.cache
def engine() -> Engine:
    """Return an engine."""
    keys = JWKSet([make_key("ES256").public()])
    return Engine(Issuer("https://issuer.example", keys=keys, algorithms=["ES256"]))


def client() -> Any:
    """Return a client of a sequencer that is not there."""
    return P["SequencerClient"]("/nonexistent/sequencer.sock", durable=False)


def recorder() -> Any:
    """Return a recorder."""
    return P["DecisionRecorder"](engine(), client())


def saved() -> Any:
    """Return what keeps the pieces of a verification."""
    return P["SavedPieces"](new_folder() / "done")


def content_keys() -> Any:
    """Return keys of contents in a new folder."""
    return P["ContentKeys"](str(new_folder()), bytes(32))


OWNERS: dict[str, Callable[[], Any]] = {
    "ContentKeys": content_keys,
    "DecisionRecorder": recorder,
    "ErasureRequest": lambda: P["ErasureRequest"](records=(1,)),
    "InclusionProof": lambda: trail().prove(1),
    "NoteKey": key,
    "SavedPieces": lambda: saved(),
    "Selection": lambda: P["Selection"](),
    "Sequencer": lambda: P["Sequencer"](written()),
    "SequencerClient": client,
    "TrailReader": trail,
    "TrailWriter": written,
    "Verification": lambda: P["Verification"](trail()),
    "VerificationReport": lambda: P["Verification"](trail()).run(),
    "Wanted": lambda: P["Wanted"](),
}
RECIPES: dict[str, Callable[[], Recipe]] = {
    "Checkpoint": lambda: {"origin": ORIGIN, "size": 1, "root": bytes(32)},
    "Checkpoint.opened": lambda: {"octets": trail().note, "keys": [key()]},
    "ContentKeys": lambda: {"folder": "/nonexistent", "operator_key": bytes(32)},
    "ContentKeys.opened": lambda: {"sealed": bytes(60), "place": "record 0"},
    "ContentKeys.seal": lambda: {
        "plain": b"x", "time_us": 1_800_000_000_000_000, "code": "ok", "token": None,
    },
    "ErasureRequest": lambda: {"records": (1,)},
    "Sequencer.erase": lambda: {"request": P["ErasureRequest"](before_us=1)},
    "SequencerClient.erase": lambda: {"request": P["ErasureRequest"](before_us=1)},
    "DecisionRecorder": lambda: {"engine": engine(), "sink": client()},
    "DecisionRecorder.note": lambda: {"decision": engine().decide(None), "token": None},
    "DecisionRecorder.note_durably": lambda: {"decision": engine().decide(None), "token": None},
    "DecisionRecorder.anote": lambda: {"decision": engine().decide(None), "token": None},
    "Finding": lambda: {"code": "gap", "place": "record 3"},
    "InclusionProof": lambda: {
        name: getattr(trail().prove(1), name) for name in ("index", "size", "path", "entry", "checkpoint")
    },
    "InclusionProof.verify": lambda: {"key": key()},
    "NoteKey": lambda: {"name": ORIGIN, "jwk": signer().public, "alg": "EdDSA"},
    "NoteKey.from_text": lambda: {"text": key().text},
    "NoteKey.verifies": lambda: {"text": b"x\n", "signature": bytes(64)},
    "SavedPieces": lambda: {"path": "/nonexistent/done"},
    "SavedPieces.keep": lambda: {
        "number": 0, "part": trail().bundle_check().part, "results": RecordResults(),
    },
    "SavedPieces.pieces": lambda: {"reader": trail(), "wanted": P["Wanted"]()},
    "Selection": dict,
    "Selection.takes": lambda: {"decision": engine().decide(None)},
    "Sequencer": lambda: {"writer": written()},
    "Sequencer.run": lambda: {"is_due_to_stop": lambda: True},
    "Sequencer.turn": lambda: {"wait_s": 0.0},
    "SequencerClient": lambda: {"path": "/nonexistent/sequencer.sock"},
    "SequencerClient.close": dict,
    "SequencerClient.count_lost": lambda: {"why": "late"},
    "SequencerClient.store": lambda: {"objects": {}},
    "SequencerClient.take": lambda: {"row": ROW},
    "SequencerClient.take_durably": lambda: {"row": ROW},
    "TrailReader.check_tree": dict,
    "TrailReader.conclude": lambda: {"parts": [trail().bundle_check().part]},
    "TrailReader.contents": lambda: {"bundle": 0},
    "TrailReader.entries": lambda: {"bundle": 0},
    "TrailReader.hashes": lambda: {"bundle": 0},
    "Verification": lambda: {"reader": trail()},
    "VerificationReport": lambda: {"origin": ORIGIN, "size": 1, "root": "00"},
    "Wanted": dict,
    "Wanted.takes": lambda: {"record": {"time_us": 1}},
    "TrailReader": lambda: {"folder": str(trail().folder), "key": key()},
    "TrailReader.prove": lambda: {"index": 1},
    "TrailReader.prove_consistency": lambda: {"earlier": trail().checkpoint},
    "TrailReader.record": lambda: {"index": 1},
    "TrailWriter": lambda: {
        "folder": str(new_folder()), "origin": ORIGIN, "signer": signer(),
    },
    "TrailWriter.append": lambda: {"entries": [b"{}"]},
    "TrailWriter.write": lambda: {"due": written().prepare()},
}  # fmt: skip

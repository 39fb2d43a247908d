"""Good arguments for the public callables of bulk verification; see ``public_recipes``."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import tokens
from public_callables import exported
from scratch import new_folder

from rapidjws import Verifier
from rapidjws.signing import LocalSigner

P = exported()
Recipe = dict[str, Any]


def verifier() -> Any:
    """Return a verifier of columns."""
    return P["BulkVerifier"](tokens.engine(), now=tokens.NOW_S, workers=1)


def in_folder() -> Recipe:
    """Return a run in a folder of its own."""
    folder = new_folder()
    pa.parquet.write_table(pa.table({"token": [tokens.token()]}), folder / "in.parquet")
    return {"verifier": verifier(), "source": str(folder / "in.parquet"), "target": folder / "out"}


def artifact() -> str:
    """Return a file to sign for."""
    path = new_folder() / "app.tar"
    path.write_bytes(b"x")
    return str(path)


def attested() -> Recipe:
    """Return an attestation, and what verifies it."""
    path = artifact()
    signed = P["attest"]([path], [LocalSigner(tokens.key("ES256"))], predicate_type="a:b", predicate={})
    return {
        "envelope": json.dumps(signed),
        "artifacts": [path],
        "roles": {"build": tokens.public("ES256")},
        "policy": "1 of build",
        "algorithms": ["ES256"],
    }


def request() -> bytes:
    """Return a request for approval."""
    asked: bytes = P["ask"]({"a": 1}, policy="1 of build", lifetime_s=1000)
    return asked


def answers() -> Recipe:
    """Return an approval, and what verifies it."""
    asked = request()
    answer = P["approve"](asked, LocalSigner(tokens.key("ES256")))
    roles = {"build": tokens.public("ES256")}
    return {"request": asked, "answers": [answer], "roles": roles, "algorithms": ["ES256"]}


def signed_log() -> Recipe:
    """Return a signed log, and what verifies it."""
    folder = new_folder()
    P["LogSigner"](folder, LocalSigner(tokens.key("ES256"))).sign([b"x\n"])
    return {"folder": folder, "verifier": Verifier([tokens.public("ES256")], algorithms=["ES256"])}


OWNERS: dict[str, Callable[[], Any]] = {
    "BulkVerifier": verifier,
    "LogSigner": lambda: P["LogSigner"](str(new_folder()), LocalSigner(tokens.key("ES256"))),
    "SignedLogHandler": lambda: P["SignedLogHandler"](str(new_folder()), LocalSigner(tokens.key("ES256"))),
    "Quorum": lambda: P["Quorum"](count=1, roles=("a",)),
    "RolePolicy": lambda: P["parse_policy"]("1 of a"),
}
RECIPES: dict[str, Callable[[], Recipe]] = {
    "BulkVerifier": lambda: {"verifier": tokens.engine()},
    "Attestation": lambda: {"payload": b"", "roles": (), "kids": ()},
    "LogReport": dict,
    "LogSigner": lambda: {"folder": str(new_folder()), "signer": LocalSigner(tokens.key("ES256"))},
    "LogSigner.sign": lambda: {"entries": [b"x\n"]},
    "SignedLogHandler": lambda: {"folder": str(new_folder()), "signer": LocalSigner(tokens.key("ES256"))},
    "SignedLogHandler.emit": lambda: {"record": logging.makeLogRecord({"msg": "x"})},
    "verify_log": signed_log,
    "Quorum": lambda: {"count": 1, "roles": ("a",)},
    "Quorum.is_met": lambda: {"signed": ["a"]},
    "RolePolicy": lambda: {"quorums": (P["Quorum"](count=1, roles=("a",)),)},
    "RolePolicy.is_met": lambda: {"signed": ["a"]},
    "parse_policy": lambda: {"text": "1 of a"},
    "attest": lambda: {
        "artifacts": [artifact()],
        "signers": [LocalSigner(tokens.key("ES256"))],
        "predicate_type": "a:b",
        "predicate": {},
    },
    "add_signature": lambda: {
        **{name: value for name, value in attested().items() if name in ("envelope", "artifacts")},
        "signer": LocalSigner(tokens.key("ES256")),
    },
    "verify_attestation": attested,
    "ask": lambda: {"action": {"a": 1}, "policy": "1 of a", "lifetime_s": 10},
    "read_request": lambda: {"request": request()},
    "approve": lambda: {"request": request(), "signer": LocalSigner(tokens.key("ES256"))},
    "collect": answers,
    "BulkReport": lambda: {"rows": 1},
    "verify_parquet": in_folder,
    "BulkVerifier.schema": lambda: {"given": pa.schema({"token": pa.string()})},
    "BulkVerifier.verify_batch": lambda: {"batch": pa.record_batch({"token": [tokens.token()]})},
}

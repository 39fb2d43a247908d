"""The evidence of one decision in a folder, with a script that verifies it by openssl and Python alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.audit.content_keys import ContentKeys
from rapidjws.audit.erasure import opened_parts
from rapidjws.audit.notes import NoteKey
from rapidjws.audit.objects import read_object
from rapidjws.audit.records import parsed_record
from rapidjws.audit.trail_reader import TrailReader
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from rapidjws.audit.trail_reader import InclusionProof

SCRIPT: Final = "verify.py"


@checked
def write_bundle(
    reader: TrailReader,
    key: NoteKey,
    index: int,
    out: str | os.PathLike[str],
    *,
    keys: ContentKeys | None = None,
) -> list[Path]:
    """Write the evidence of a record; return the files.

    Args:
        reader: The trail.
        key: The log's key; the script knows all kinds but ML-DSA.
        index: The record.
        out: The folder, made where it is not there; nothing in it is replaced.
        keys: Decrypt the token.

    Raises:
        ConfigurationError: ``configuration_invalid``: another kind of key, or no such record;
            ``audit_trail_invalid``.
        OSError: The folder cannot be written.
    """
    if key.jwk.kty not in ("EC", "OKP", "RSA"):
        raise error_for("configuration_invalid", "key", "a key of EC, OKP or RSA", key.jwk.kty)
    proof = reader.prove(index)
    proof.verify(key)
    record = parsed_record(proof.entry, f"record {index}")
    files: dict[str, bytes] = {
        "record.json": proof.entry,
        "checkpoint": proof.checkpoint,
        "log-key": key.text.encode() + b"\n",
        "proof.json": _proof(proof),
        SCRIPT: Path(__file__).with_name("evidence_script.py.txt").read_bytes(),
    }
    tile, at = divmod(index, 256)
    parts = opened_parts(reader.contents(tile)[at], f"record {index}", keys)
    token = None if parts is None else parts.get("token")
    jwk = _jwk(reader, record)
    if token is not None and jwk is not None:
        files |= {"token": token, "jwk.json": jwk}
    folder = Path(out)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, octets in files.items():
        _files.write_new(folder / name, octets)
    return [folder / name for name in files]


def _proof(proof: InclusionProof) -> bytes:
    path = [one.hex() for one in proof.path]
    return json.dumps({"index": proof.index, "size": proof.size, "path": path}, indent=1).encode()


def _jwk(reader: TrailReader, record: dict[str, object]) -> bytes | None:
    """Return the key that verified the token, where it is stored."""
    from rapidjws.jose.jwk import JWK

    if record.get("generation") is None or record.get("key") is None:
        return None  # a gap, an erasure, or a token that no key verified
    table = read_object(reader.folder, str(record["generation"]))
    if table is None:
        return None
    for names in orjson.loads(table)["issuers"].values():
        for name in names:
            octets = read_object(reader.folder, name)
            if octets is not None and JWK.from_json(octets).thumbprint() == record["key"]:
                return octets
    return None

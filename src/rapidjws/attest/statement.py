"""in-toto Statements, version 1: which artifacts, by digest, and what is claimed of them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from hashlib import new as new_hash
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from rapidjws._checks import checked
from rapidjws._inputs import open_input
from rapidjws.errors import error_for
from rapidjws.jose.json_text import loads

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
CONTENT_TYPE: Final = "vnd.in-toto+json"
"""``cty`` of a Statement's signatures; ``application/`` is left out (RFC 7515 s.4.1.10)."""

PAYLOAD_MAX_BYTES: Final = 128 << 10
_HEX_CHARS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_LOWER_HEX: Final = re.compile("[0-9a-f]+", re.ASCII)
_MEMBERS: Final = {"_type", "subject", "predicateType", "predicate"}


def digest_of(path: str | os.PathLike[str], names: Sequence[str]) -> dict[str, str]:
    """Return the digests of a regular file, read once, in lower-case hexadecimal."""
    with open(open_input(path), "rb") as file:
        return _digests(file, names)


def _digests(file: BinaryIO, names: Sequence[str]) -> dict[str, str]:
    hashes = {name: new_hash(name) for name in names}
    while piece := file.read(1 << 20):
        for one in hashes.values():
            one.update(piece)
    return {name: one.hexdigest() for name, one in hashes.items()}


@checked
def statement_of(
    artifacts: Sequence[str | os.PathLike[str]], predicate_type: str, predicate: Mapping[str, Any]
) -> bytes:
    """Return a Statement about files, in JSON with sorted members and no spaces.

    Args:
        artifacts: Files; each is named by its last part, which must be its own.
        predicate_type: A URI that says what the predicate is.
        predicate: What is claimed of them.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        OSError: A file cannot be read.

    Source: in-toto Attestation Framework, Statement v1.
    """
    if not artifacts or ":" not in predicate_type:
        place = "predicate_type" if artifacts else "artifacts"
        raise error_for("configuration_invalid", place, "a URI" if artifacts else "one file or more")
    names = [Path(one).name for one in artifacts]
    if len(set(names)) != len(names):
        raise error_for("configuration_invalid", "artifacts", "each name once", "one name twice")
    subjects = [{"name": Path(one).name, "digest": digest_of(one, ("sha256",))} for one in artifacts]
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }
    try:
        octets = orjson.dumps(statement, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise error_for("configuration_invalid", "predicate", "a JSON object") from None
    read_statement(octets)
    return octets


def read_statement(payload: bytes) -> dict[str, Any]:
    """Return a verified payload's Statement.

    Raises:
        MalformedToken: ``malformed_json``, ``duplicate_member`` and their like: not strict JSON.
        ClaimRefused: ``malformed_claim``: not a Statement v1; ``claim_mismatch``: one name with two digests.
    """
    found = loads(payload, max_bytes=PAYLOAD_MAX_BYTES, max_depth=32, max_members=1024, place="payload")
    if not isinstance(found, dict) or found.get("_type") != STATEMENT_TYPE:
        raise error_for("malformed_claim", "payload._type", expected=STATEMENT_TYPE)
    if set(found) - _MEMBERS or not isinstance(found.get("predicateType"), str):
        raise error_for("malformed_claim", "payload", expected="the members of a Statement v1")
    if not isinstance(found.get("predicate", {}), dict):
        raise error_for("malformed_claim", "payload.predicate", expected="an object")
    subjects = found.get("subject")
    if not isinstance(subjects, list) or not subjects:
        raise error_for("malformed_claim", "payload.subject", expected="a list with one subject or more")
    names = [_checked_subject(at, one) for at, one in enumerate(subjects)]
    if len(set(names)) != len(names):
        raise error_for("claim_mismatch", "payload.subject", expected="each name once")
    return found


def _checked_subject(at: int, subject: Any) -> str:
    """Return a subject's name; refuse digests that could be read in two ways."""
    place = f"payload.subject[{at}]"
    name = subject.get("name") if isinstance(subject, dict) else None
    digests = subject.get("digest") if isinstance(subject, dict) else None
    if not isinstance(name, str) or not isinstance(digests, dict):
        raise error_for("malformed_claim", place, expected="name and digest")
    known = [one for one in digests if one in _HEX_CHARS]
    if not known:
        words = "one of " + ", ".join(_HEX_CHARS)
        raise error_for("malformed_claim", f"{place}.digest", expected=words)
    for one in known:
        text = digests[one]
        if not isinstance(text, str) or len(text) != _HEX_CHARS[one] or not _LOWER_HEX.fullmatch(text):
            raise error_for("malformed_claim", f"{place}.digest.{one}", expected="lower-case hexadecimal")
    return name


def check_artifacts(statement: Mapping[str, Any], artifacts: Sequence[str | os.PathLike[str]]) -> None:
    """Refuse a file that no subject has the digests of; a name proves nothing.

    Raises:
        ClaimRefused: ``claim_mismatch``, with the file's name as its place.
        OSError: A file cannot be read.
    """
    subjects = [{name: text for name, text in one["digest"].items() if name in _HEX_CHARS}
                for one in statement["subject"]]  # fmt: skip
    names = sorted({name for one in subjects for name in one})
    for artifact in artifacts:
        digests = digest_of(artifact, names)
        if not any(all(digests[name] == text for name, text in one.items()) for one in subjects):
            raise error_for("claim_mismatch", Path(artifact).name, "a file with a subject's digests")

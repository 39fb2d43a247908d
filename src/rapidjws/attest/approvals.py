"""Multi-party approvals: one asks, several sign exactly what was asked, and so many roles decide.

The canonical rule: all sign the very octets of the request, in the one form that :func:`ask` gives them, and
each says ``decision`` in its protected header. Where two good signatures say different things there, the
whole is refused: nobody picks the answer that suits.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from time import time
from typing import Any, Final, Literal

import orjson

from rapidjws._checks import check_range, checked
from rapidjws.attest.envelope import (
    Attestation,
    Keys,
    payload_of,
    read_envelope,
    sign_payload,
    verify_payload,
)
from rapidjws.attest.policy import parse_policy
from rapidjws.errors import error_for
from rapidjws.jose.json_text import loads
from rapidjws.jose.numeric_date import SECOND_NS, moment_ns
from rapidjws.signing.signer import Signer

CONTENT_TYPE: Final = "vnd.rapidjws.approval+json"
_MAX_BYTES: Final = 64 << 10
_MEMBERS: Final = {"action", "asked_at", "expires_at", "id", "policy"}


@checked
def ask(
    action: Mapping[str, Any],
    *,
    policy: str,
    lifetime_s: int,
    now: float | None = None,
    id: str | None = None,
) -> bytes:
    """Return a request for approval: what each of those asked reads, and signs as it is.

    Args:
        action: What is to be approved, as a JSON object: all that matters must stand in it.
        policy: Who decides: ``"2 of build,review,security"``.
        lifetime_s: Seconds until it is too late to approve.
        now: Seconds since the epoch; by default the wall clock.
        id: A name that no other request has; by default a random one.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    check_range("lifetime_s", lifetime_s, 1, 10**9)
    asked_at = int(time() if now is None else now)
    request = {
        "action": dict(action),
        "asked_at": asked_at,
        "expires_at": asked_at + lifetime_s,
        "id": secrets.token_urlsafe(16) if id is None else id,
        "policy": str(parse_policy(policy)),
    }
    try:
        octets = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise error_for("configuration_invalid", "action", "a JSON object") from None
    read_request(octets)
    return octets


@checked
def read_request(request: bytes) -> dict[str, Any]:
    """Return what a request asks for, for those who are asked to read.

    Args:
        request: As :func:`ask` made it.

    Raises:
        TokenRefused: It is no request in the one form that requests have.
    """
    found = loads(request, max_bytes=_MAX_BYTES, max_depth=16, max_members=256, place="request")
    if not isinstance(found, dict) or set(found) != _MEMBERS or not isinstance(found["action"], dict):
        raise error_for("malformed_claim", "request", "a request for approval")
    if not isinstance(found["id"], str) or not isinstance(found["policy"], str) or not found["id"]:
        raise error_for("malformed_claim", "request.id", "a name")
    if any(type(found[name]) is not int or found[name] < 0 for name in ("asked_at", "expires_at")):
        raise error_for("malformed_claim", "request.expires_at", "whole seconds since the epoch")
    if orjson.dumps(found, option=orjson.OPT_SORT_KEYS) != request:
        raise error_for("malformed_claim", "request", "sorted members and no spaces")
    return found


@checked
def approve(
    request: bytes,
    signer: Signer,
    *,
    decision: Literal["approve", "reject"] = "approve",
    now: float | None = None,
) -> dict[str, Any]:
    """Sign a request: an answer, to be collected with those of others.

    Args:
        request: As :func:`ask` made it.
        signer: Whose answer it is.
        decision: The answer.
        now: Seconds since the epoch; by default the wall clock.

    Returns:
        A General JWS JSON Serialization with one signature.

    Raises:
        ClaimRefused: ``expired``: it is too late.
        TokenRefused: It is no request.
    """
    moment = time() if now is None else now
    _check_open(read_request(request), moment)
    return sign_payload(request, [signer], CONTENT_TYPE, moment, None, {"decision": decision})


@checked
def collect(
    request: bytes,
    answers: Sequence[Mapping[str, Any] | bytes | str],
    *,
    roles: Mapping[str, Keys],
    algorithms: Iterable[str],
    policy: str | None = None,
    now: float | None = None,
) -> Attestation:
    """Return the approval that answers come to, or raise why there is none.

    Args:
        request: The request that was asked, not one that came with an answer.
        answers: What :func:`approve` gave, or an approval that was collected before.
        roles: The public keys of each role; no key or kid in two of them.
        algorithms: The ``alg`` values accepted.
        policy: Who decides, where that is not what the request says.
        now: Seconds since the epoch; by default the wall clock.

    Raises:
        SignatureInvalid: ``signatures_insufficient``: too few roles approved.
        ClaimRefused: ``expired``; ``claim_mismatch``: an answer to another request, or a rejection.
        TokenRefused: ``signers_disagree``: one approves and another rejects; or what else was found.
    """
    required = read_request(request)
    moment = time() if now is None else now
    _check_open(required, moment)
    return _verified(merge(request, answers), required, roles, algorithms, policy, moment)


def merge(request: bytes, answers: Sequence[Mapping[str, Any] | bytes | str]) -> str:
    """Return one General JSON Serialization with the signatures of all answers to one request.

    Raises:
        ClaimRefused: ``claim_mismatch``: an answer to another request.
    """
    signatures: list[Any] = []
    payload = None
    for at, answer in enumerate(answers):
        members = read_envelope(json.dumps(dict(answer)) if isinstance(answer, Mapping) else answer)
        if payload_of(members) != request:
            raise error_for("claim_mismatch", f"answers[{at}].payload", "the request that was asked")
        payload = members["payload"]
        signatures += [one for one in members["signatures"] if one not in signatures]
    if payload is None:
        raise error_for("signatures_insufficient", "answers", "one or more", "none")
    return json.dumps({"payload": payload, "signatures": signatures})


def _check_open(required: Mapping[str, Any], now: float) -> None:
    if moment_ns(now) >= required["expires_at"] * SECOND_NS:
        raise error_for("expired", "request.expires_at")


def _verified(
    envelope: str,
    required: Mapping[str, Any],
    roles: Mapping[str, Keys],
    algorithms: Iterable[str],
    policy: str | None,
    now: float,
) -> Attestation:
    """Verify a collected approval."""
    decides = required["policy"] if policy is None else policy
    return verify_payload(envelope, CONTENT_TYPE, roles, decides, algorithms, now, {"decision": "approve"})

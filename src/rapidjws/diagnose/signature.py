"""The signature section: its length, and the experiments that show why it does not verify (RFC 7515 s.5.2).

One mistake is undone at a time, the likeliest first, until the signature verifies or the budget is spent. An
experiment explains; it never makes a token good.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.diagnose import altered, formats, trial, variants
from rapidjws.diagnose.key_documents import certificate_key
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rapidjws.diagnose.case import Case
    from rapidjws.diagnose.subject import KnownKey

_TARGETS: Final = 3
_STRANGERS: Final = 24
_CURVE_BYTES: Final = {64: "P-256 or secp256k1", 96: "P-384", 132: "P-521"}


def examine(case: Case) -> None:
    """Note whether the signature verifies, and if not, what would make it."""
    notes, alg = case.notes, case.member("alg")
    header, payload, signature = case.read.decoded
    if case.subject.engine is None:
        notes.check("signature", "verify", "skip", "without a usable key set the signature is not judged")
        return
    if case.read.parts is None or alg not in ALGORITHM_TABLE or alg is None:
        notes.check("signature", "verify", "skip", "the token names no algorithm that could be tried")
        _altered(case)
        return
    if header is None or payload is None or not signature:
        notes.check("signature", "verify", "skip", "there is no signature to try")
        return
    octets = case.signing_input
    targets = case.targets[:_TARGETS]
    if case.verdict is None:
        case.signed = True
    else:
        case.signed = any(trial.verifies(notes, item.jwk, alg, octets, signature) for item in targets)
    if case.signed:
        notes.check("signature", "length", "ok", "the algorithm's length", actual=len(signature))
        notes.check("signature", "verify", "ok", "verifies under the key that the header names")
        if case.verdict is not None:
            _good_but(case, alg, targets)
        return
    if case.is_detached and case.body is None:
        notes.check("signature", "verify", "skip", "the payload is detached, and no body was given to try")
        words = "the payload's part is empty: header..signature"
        notes.cause("signature", "detached_without_body", 55 if case.stage == "header" else 94, words)
        if case.stage != "header":
            notes.cause(case.stage or "signature", "detached_without_body", 94, words)
        return
    for known in targets:  # a kid that is nearly that of a key: first of all, for it is one trial
        damaged = altered.with_kid_of(case, known, alg)
        if damaged is not None:
            _note_altered(case, *damaged)
            return
    _length(case, alg, targets, len(signature))
    found = _search(case, alg, octets, signature, targets)
    if found is None:
        _not_found(case, targets)
        return
    cause, words, section, weight = found
    notes.check("signature", "verify", "fail", f"does not verify as it stands; {words}")
    notes.cause("key" if section == "key" else "signature", cause, weight, words)


def _not_found(case: Case, targets: list[KnownKey]) -> None:
    """Say what was tried in vain, and no more than that."""
    notes = case.notes
    if _altered(case):
        return
    if not notes.trials:
        text = "no key was tried: none at hand serves the header's alg and kid"
        notes.check("signature", "verify", "skip", text)
        return
    tried = f"{notes.trials} trial verifications"
    text = f"does not verify; {tried} with known mistakes undone did not either"
    notes.check("signature", "verify", "fail", text, actual=notes.trials)
    if targets:
        notes.cause("signature", "signature_unexplained", 40, f"{tried} failed")
    if notes.left < 0:
        notes.check("signature", "experiments", "skip", "the budget for experiments was spent")


def _altered(case: Case) -> bool:
    """Note a header that was altered after signing, where a trial shows it."""
    found = None if case.notes.names("header_encoded_twice") else altered.search(case)
    if found is None:
        return False
    _note_altered(case, *found)
    return True


def _note_altered(case: Case, cause: str, words: str) -> None:
    """Note a header that was altered, for the part where the engine refused."""
    case.notes.check("signature", "verify", "fail", f"does not verify as it stands; {words}")
    case.notes.cause("signature", cause, 96, words)
    case.notes.cause(case.stage or "signature", cause, 96, words)


def _good_but(case: Case, alg: str, targets: list[KnownKey]) -> None:
    """Raise what the header or key section suspected to proof, where the signature is good."""
    notes, name = case.notes, targets[0].name if targets else "a key"
    words = f"the signature verifies under {name}"
    if case.code == "algorithm_not_allowed":
        notes.cause("key", "algorithm_changed", 91, f"{words} with {alg}")
    suspects = [cause for _, cause in notes.found if cause.id.startswith("kid_") and cause.weight >= 70]
    for cause in suspects:
        notes.cause("key", cause.id, 93, f"{cause.evidence}; {words}")


def _length(case: Case, alg: str, targets: list[KnownKey], length: int) -> None:
    """Note the signature's length against the algorithm's."""
    due = _due_bytes(alg, targets[0].jwk if targets else None)
    if due is None:
        case.notes.check("signature", "length", "info", "length in bytes", actual=length)
        return
    fits = length == due
    text = "the algorithm's length" if fits else "not the algorithm's length"
    case.notes.check("signature", "length", "ok" if fits else "fail", text, expected=due, actual=length)
    if fits:
        return
    words = f"{length} bytes, {alg} has {due}"
    if length in _CURVE_BYTES and ALGORITHM_TABLE[alg].kind == "ecdsa":
        case.notes.cause(
            "signature", "signature_other_curve", 68, f"{words}: the size of {_CURVE_BYTES[length]}"
        )
    elif length < due:
        case.notes.cause("signature", "signature_cut_off", 64, words)
        if case.stage == "structure" and length < due - 1 and not case.read.names("cut_off"):
            case.notes.cause("structure", "signature_cut_off", 85, words)
    else:
        case.notes.cause("signature", "signature_length", 63, words)


def _due_bytes(alg: str, jwk: JWK | None) -> int | None:
    """Return the length of a signature in bytes, or None where the key decides and there is none."""
    row = ALGORITHM_TABLE[alg]
    if row.signature_bytes is not None:
        return row.signature_bytes
    if jwk is None:
        return None
    if row.kind == "eddsa":
        return 114 if jwk.crv == "Ed448" else 64
    return len(jwk.material[0]) if jwk.kty == "RSA" else None


Found = tuple[str, str, str, int]
"""A cause, words, the section it belongs to, and its weight."""


def _search(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[KnownKey]) -> Found | None:
    """Return the first experiment that makes the signature verify, or None."""
    for search in (_writings, _strangers, _embedded, _confusion, _algorithms, _secrets, _nonce, _inputs):
        found = search(case, alg, octets, signature, targets)
        if found is not None:
            return found
    return None


def _writings(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[KnownKey]) -> Found | None:
    """Try the signature as it would be without a mistake of its writer."""
    for known in targets:
        due = _due_bytes(alg, known.jwk) or len(signature)
        for cause, words, other in variants.signatures(signature, alg, due):
            if trial.verifies(case.notes, known.jwk, alg, octets, other):
                return cause, f"{words}, it verifies under {known.name}", "signature", 95
            if cause in ("signature_encoded_twice", "signature_hex") and other[:1] == b"\x30":
                for _, _, inner in variants.signatures(other, alg, due):
                    if trial.verifies(case.notes, known.jwk, alg, octets, inner):
                        return cause, f"{words} and from DER, it verifies under {known.name}", "signature", 95
    return None


def _strangers(
    case: Case, alg: str, octets: bytes, signature: bytes, targets: list[KnownKey]
) -> Found | None:
    """Try every other key that is known from anywhere."""
    tried = 0
    kid = case.member("kid")
    for known in case.subject.known:
        if known in targets or alg not in trial.unbound(known.jwk).algorithms:
            continue
        tried += 1
        if tried > _STRANGERS:
            break
        if trial.verifies(case.notes, known.jwk, alg, octets, signature):
            return _whose(case, known, kid)
    return None


def _whose(case: Case, known: KnownKey, kid: str | None) -> Found:
    """Name the cause for a signature by a key that the header does not name."""
    words = f"it verifies under {known.name}"
    ours = case.issuer is None or known.issuer is None or known.issuer == case.subject.rules[case.issuer].iss
    if known.origin == "fresh" and ours:
        replaced = any(item.jwk.kid == known.jwk.kid for item in case.subject.of("in use"))
        if known.jwk.kid == kid:
            return ("key_replaced" if replaced else "stale_cache"), words, "key", 96
        return "kid_of_other_key", words, "key", 93
    if known.origin not in ("in use", "fresh"):
        return "other_environment", words, "key", 96
    if not ours:
        alike = any(cause.id == "issuer_spelling" for _, cause in case.notes.found)
        return ("issuer_spelling" if alike else "other_issuer_key"), words, "key", 94
    if kid is None:
        return "ambiguous_key", words, "key", 91
    named = any(item.jwk.kid == kid for item in case.subject.of("in use"))
    return ("kid_of_other_key" if named else "kid_renamed"), words, "key", 93


def _embedded(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[KnownKey]) -> Found | None:
    """Try the key that the token brings, which proves nothing but explains much."""
    chain = (case.header or {}).get("x5c")
    if isinstance(chain, list) and chain and isinstance(chain[0], str):
        der = formats.from_base64(chain[0])
        leaf = None if der is None else certificate_key(der)
        if leaf is not None and trial.verifies(case.notes, leaf, alg, octets, signature):
            return "embedded_certificate", "it verifies under the leaf of its own x5c", "key", 95
    brought = (case.header or {}).get("jwk")
    if not isinstance(brought, dict):
        return None
    try:
        jwk = JWK.from_json(brought)
    except RapidJWSError:
        return None
    if jwk.is_symmetric or not trial.verifies(case.notes, jwk, alg, octets, signature):
        return None
    if case.notes.names("dpop_proof"):
        return (
            "dpop_proof",
            "it verifies under its embedded key, which is as RFC 9449 section 4.2 wants it",
            "key",
            98,
        )
    return "embedded_key", "it verifies under the key in its own header, which is never trusted", "key", 96


def _confusion(
    case: Case, alg: str, octets: bytes, signature: bytes, targets: list[KnownKey]
) -> Found | None:
    """Try public keys as HMAC secrets."""
    if ALGORITHM_TABLE[alg].kind != "hmac":
        return None
    for known in (*targets, *case.subject.known[:_STRANGERS]):
        if trial.confused(case.notes, known.jwk, alg, octets, signature):
            return "algorithm_confusion", f"the MAC's secret is the public key {known.name}", "key", 98
    return None


def _algorithms(
    case: Case, alg: str, octets: bytes, signature: bytes, targets: list[KnownKey]
) -> Found | None:
    """Try the same keys with other algorithms, digests and paddings."""
    for known in targets:
        for other in trial.other_algorithms(known.jwk, alg):
            if trial.verifies(case.notes, known.jwk, other, octets, signature):
                return "other_algorithm", f"as {other} it verifies under {known.name}", "key", 95
        odd = trial.foreign(case.notes, known.jwk, alg, octets, signature)
        if odd is not None:
            return odd[0], f"it {odd[1]} under {known.name}", "signature", 95
    return None


def _secrets(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[KnownKey]) -> Found | None:
    """Try the shared secrets in other encodings."""
    if ALGORITHM_TABLE[alg].kind != "hmac":
        return None
    for known in targets:
        if not known.jwk.is_symmetric:
            continue
        for cause, words, secret in trial.secrets(known.jwk.material[0]):
            if case.notes.spend(alg, "hmac", len(octets)) and trial.mac_is(secret, alg, octets, signature):
                return cause, f"the MAC's secret is that of kid {known.jwk.kid!r}: {words}", "signature", 95
    return None


def _nonce(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[KnownKey]) -> Found | None:
    """Try the header with its nonce hashed, as Microsoft Graph's tokens are signed."""
    nonce, header = case.member("nonce"), case.read.decoded[0] or b""
    written = json.dumps(nonce).encode()
    if nonce is None or header.count(written) != 1:
        return None
    digest = hashlib.sha256(nonce.encode("utf-8", "replace")).digest()
    hashed = header.replace(written, b'"' + _native.b64url_encode(digest) + b'"')
    other = _native.b64url_encode(hashed) + b"." + octets.partition(b".")[2]
    for known in targets:
        if trial.verifies(case.notes, known.jwk, alg, other, signature):
            words = f"with the nonce replaced by its SHA-256 it verifies under {known.name}"
            return "header_nonce_hashed", words, "signature", 97
    return None


def _inputs(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[KnownKey]) -> Found | None:
    """Try other octets than the signing input."""
    for known in targets:
        for cause, words, other in _other_inputs(case, alg):
            if trial.verifies(case.notes, known.jwk, alg, other, signature):
                return cause, f"{words} it verifies under {known.name}", "signature", 94
    return None


def _other_inputs(case: Case, alg: str) -> Iterator[variants.Variant]:
    """Yield the body as payload first, then every usual mistake; unencoded where b64 is false."""
    header, payload = case.read.decoded[0], case.payload
    if case.read.parts is None or header is None or payload is None:
        return
    first = case.read.parts[0]
    head = first.encode() + b"."
    raw = case.read.is_unencoded
    if case.body is not None and case.body != payload:
        yield "body_signed", "over the request body", head + _native.b64url_encode(case.body)
        yield "body_signed", "over the unencoded request body", head + case.body
    if raw:
        for cause, words, other in variants.payloads(payload):
            yield cause, f"over the unencoded payload {words}", head + other
        encoded = head + _native.b64url_encode(payload)
        yield "signed_encoded_payload", "over the payload in base64url", encoded
    second = case.signing_input.partition(b".")[2].decode("utf-8", "replace")
    yield from variants.signing_inputs(first, second, header, payload, alg, is_unencoded=raw)

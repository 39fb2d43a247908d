"""The signature room: its length, and the experiments that show why it does not verify (RFC 7515 s.5.2).

One mistake is undone at a time, the likeliest first, until the signature verifies or the budget is spent. An
experiment explains; it never makes a token good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.diagnose import trial, variants
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rapidjws.diagnose.case import Case
    from rapidjws.diagnose.subject import Known

_TARGETS: Final = 3
_STRANGERS: Final = 24
_CURVE_BYTES: Final = {64: "P-256 or secp256k1", 96: "P-384", 132: "P-521"}


def examine(case: Case) -> None:
    """Note whether the signature verifies, and if not, what would make it."""
    notes, alg = case.notes, case.member("alg")
    header, payload, signature = case.read.decoded
    if case.read.parts is None or alg not in ALGORITHM_TABLE or alg is None:
        notes.check("signature", "verify", "skip", "the token names no algorithm that could be tried")
        return
    if header is None or payload is None or not signature:
        notes.check("signature", "verify", "skip", "there is no signature to try")
        return
    first, second, _ = case.read.parts
    octets = f"{first}.{second}".encode()
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
    _length(case, alg, targets, len(signature))
    found = _search(case, alg, octets, signature, targets)
    if found is None:
        notes.check("signature", "verify", "fail", "does not verify, and no known mistake makes it")
        if targets:
            notes.cause("signature", "payload_changed", 40, "every experiment failed")
        if notes.left < 0:
            notes.check("signature", "experiments", "skip", "the budget for experiments was spent")
        return
    cause, words, room, weight = found
    notes.check("signature", "verify", "fail", f"does not verify as it stands; {words}")
    notes.cause("key" if room == "key" else "signature", cause, weight, words)


def _good_but(case: Case, alg: str, targets: list[Known]) -> None:
    """Raise what the header or key room suspected to proof, where the signature is good."""
    notes, name = case.notes, targets[0].name if targets else "a key"
    words = f"the signature verifies under {name}"
    if case.code == "algorithm_not_allowed":
        notes.cause("key", "algorithm_changed", 91, f"{words} with {alg}")
    suspects = [cause for _, cause in notes.found if cause.id.startswith("kid_") and cause.weight >= 70]
    for cause in suspects:
        notes.cause("key", cause.id, 93, f"{cause.evidence}; {words}")


def _length(case: Case, alg: str, targets: list[Known], length: int) -> None:
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
"""A cause, words, the room it belongs to, and its weight."""


def _search(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[Known]) -> Found | None:
    """Return the first experiment that makes the signature verify, or None."""
    for search in (_writings, _strangers, _embedded, _confusion, _algorithms, _secrets, _inputs):
        found = search(case, alg, octets, signature, targets)
        if found is not None:
            return found
    return None


def _writings(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[Known]) -> Found | None:
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


def _strangers(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[Known]) -> Found | None:
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


def _whose(case: Case, known: Known, kid: str | None) -> Found:
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


def _embedded(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[Known]) -> Found | None:
    """Try the key that the token brings, which proves nothing but explains much."""
    brought = (case.header or {}).get("jwk")
    if not isinstance(brought, dict):
        return None
    try:
        jwk = JWK.from_json(brought)
    except RapidJWSError:
        return None
    if jwk.is_symmetric or not trial.verifies(case.notes, jwk, alg, octets, signature):
        return None
    return "embedded_key", "it verifies under the key in its own header, which is never trusted", "key", 96


def _confusion(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[Known]) -> Found | None:
    """Try public keys as HMAC secrets."""
    if ALGORITHM_TABLE[alg].kind != "hmac":
        return None
    for known in (*targets, *case.subject.known[:_STRANGERS]):
        if trial.confused(case.notes, known.jwk, alg, octets, signature):
            return "algorithm_confusion", f"the MAC's secret is the public key {known.name}", "key", 98
    return None


def _algorithms(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[Known]) -> Found | None:
    """Try the same keys with other algorithms, digests and paddings."""
    for known in targets:
        for other in trial.other_algorithms(known.jwk, alg):
            if trial.verifies(case.notes, known.jwk, other, octets, signature):
                return "other_algorithm", f"as {other} it verifies under {known.name}", "key", 95
        odd = trial.foreign(case.notes, known.jwk, alg, octets, signature)
        if odd is not None:
            return odd[0], f"it {odd[1]} under {known.name}", "signature", 95
    return None


def _secrets(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[Known]) -> Found | None:
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


def _inputs(case: Case, alg: str, octets: bytes, signature: bytes, targets: list[Known]) -> Found | None:
    """Try other octets than the signing input."""
    for known in targets:
        for cause, words, other in _other_inputs(case, alg):
            if trial.verifies(case.notes, known.jwk, alg, other, signature):
                return cause, f"{words} it verifies under {known.name}", "signature", 94
    return None


def _other_inputs(case: Case, alg: str) -> Iterator[variants.Variant]:
    """Yield the body as payload first, then every usual mistake."""
    header, payload, _ = case.read.decoded
    if case.read.parts is None or header is None or payload is None:
        return
    first, second, _ = case.read.parts
    if case.body is not None and case.body != payload:
        encode = _native.b64url_encode
        yield "body_signed", "over the request body", first.encode() + b"." + encode(case.body)
        yield "body_signed", "over the unencoded request body", first.encode() + b"." + case.body
        for cause, words, other in variants.payloads(case.body):
            if not payload:
                yield cause, f"over the request body {words}", first.encode() + b"." + encode(other)
    yield from variants.signing_inputs(first, second, header, payload, alg)

"""The header: alg against the allowed ones, typ, crit, b64, equal and invisible names (RFC 7515 s.4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.diagnose.case import json_object
from rapidjws.diagnose.formats import purpose
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jws import parse_header
from rapidjws.jose.limits import HEADER_MAX_BYTES

if TYPE_CHECKING:
    from rapidjws.diagnose.case import Case

_INVISIBLE: Final = re.compile("[\u0000-\u001f\u007f-\u00a0\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_ENCRYPTION: Final = re.compile(r"(?i)^(rsa-oaep|rsa1_5|dir$|a\d{3}(kw|gcmkw)|ecdh-es|pbes2)")
_FOREIGN_NAMES: Final = {
    "sha256withrsa": "RS256", "sha384withrsa": "RS384", "sha512withrsa": "RS512", "hmacsha256": "HS256",
    "sha256withecdsa": "ES256", "sha384withecdsa": "ES384", "sha512withecdsa": "ES512", "rsa-sha256": "RS256",
    "ed25519ph": "Ed25519", "p-256": "ES256", "sha256": "HS256", "rsa": "RS256", "ecdsa": "ES256",
    "hmac": "HS256", "rsa256": "RS256", "rs-256": "RS256", "es-256": "ES256", "hs-256": "HS256",
    "rsassa-pss": "PS256",
}  # fmt: skip
_TRUSTED_BY_NOBODY: Final = ("jku", "jwk", "x5u", "x5c")


def examine(case: Case) -> None:
    """Note what the header says and what of it is not allowed here."""
    notes, data = case.notes, case.read.decoded[0]
    if data is None:
        notes.check("header", "json", "skip", "the header cannot be decoded")
        return
    value = json_object(data) if data or not case.read.unprotected else {}
    if not isinstance(value, dict):
        notes.check("header", "json", "fail", "the header is not a JSON object")
        again = _native.b64url_decode(data.strip().rstrip(b"="))
        twice = isinstance(json_object(again), dict)
        bom = data[:3] == b"\xef\xbb\xbf"
        name = "header_encoded_twice" if twice else "byte_order_mark" if bom else "header_not_json"
        notes.cause("header", name, 85, "the decoded header is base64url once more" if twice else "not JSON")
        return
    case.header = value = {**case.read.unprotected, **value}
    notes.check("header", "json", "ok", "a JSON object", actual=tuple(str(name) for name in value))
    _strict(case, data)
    _alg(case, value.get("alg"))
    _typ(case)
    _purpose(case, value)
    _other(case, value)


def _strict(case: Case, data: bytes) -> None:
    """Note what the strict reader of the engine says."""
    notes = case.notes
    understood = frozenset({"b64"}).union(*(rule.crit for rule in case.subject.rules))
    if case.read.is_json and case.read.unprotected:
        notes.check("header", "unprotected", "info", "a part of the header is unprotected",
                    actual=tuple(case.read.unprotected))  # fmt: skip
        return
    try:
        parse_header(data, understood_crit=understood, max_bytes=max(len(data), HEADER_MAX_BYTES))
    except RapidJWSError as refused:
        if refused.code in ("unsupported_algorithm",):
            return
        notes.check("header", refused.code, "fail", str(refused))
        names = {
            "duplicate_member": "duplicate_header_member",
            "crit_malformed": "crit_malformed",
            "crit_unsupported": "crit",
            "b64_unsupported": "b64_without_crit",
        }
        name = names.get(refused.code)
        if name is None and refused.place == "header.alg":
            name = "alg_missing"
        notes.cause("header", name or refused.code, 82, str(refused))
        return
    notes.check("header", "strict", "ok", "well-formed for a strict reader")


def _alg(case: Case, alg: Any) -> None:
    """Note whether the algorithm is known and allowed, and what was probably meant."""
    notes = case.notes
    allowed = case.subject.allowed
    if not isinstance(alg, str):
        notes.check("header", "alg", "fail", "alg is missing or no text", expected=allowed)
        return
    if alg in ALGORITHM_TABLE and not allowed:
        notes.check("header", "alg", "info", "alg is known; which are allowed is not known", actual=alg)
        return
    if alg in ALGORITHM_TABLE:
        fits = alg in allowed
        text = "alg is allowed" if fits else "alg is not among those allowed"
        notes.check("header", "alg", "ok" if fits else "fail", text, expected=allowed, actual=alg)
        if not fits:
            notes.cause("header", "algorithm_not_allowed", 65, f"alg is {alg}, allowed are {list(allowed)}")
        return
    notes.check(
        "header", "alg", "fail", "alg is not a known signature algorithm", expected=allowed, actual=alg
    )
    cleaned = _INVISIBLE.sub("", alg).strip()
    meant = {name.lower(): name for name in ALGORITHM_TABLE}.get(cleaned.lower().replace("_", "-"))
    meant = meant or _FOREIGN_NAMES.get(cleaned.lower().replace("_", "-"))
    if cleaned.lower() == "none":
        notes.cause("header", "alg_none", 88, f"alg is {alg[:20]!r}")
    elif meant is not None:
        notes.cause("header", "alg_spelling", 84, f"alg is {alg[:40]!r}, the registered name is {meant!r}")
    elif _ENCRYPTION.match(cleaned):
        notes.cause("header", "alg_encryption", 84, f"alg is {alg[:40]!r}")
    else:
        notes.cause("header", "alg_unknown", 70, f"alg is {alg[:40]!r}")


def _typ(case: Case) -> None:
    """Note typ against what the issuer's rules ask for."""
    wanted = {typ for rule in case.subject.rules for typ in rule.typ}
    found = case.member("typ")
    if case.code == "typ_mismatch":
        case.notes.check("header", "typ", "fail", "typ is another", expected=tuple(wanted), actual=found)
        claims = json_object(case.payload)
        is_id = isinstance(claims, dict) and bool({"nonce", "at_hash", "c_hash", "auth_time"} & claims.keys())
        name = "id_token" if is_id else "typ_mismatch"
        case.notes.cause("header", name, 80, f"typ is {found!r}, due is {sorted(wanted)}")
    else:
        text = "typ" if found is not None else "no typ" if wanted else "no typ, and none is asked for"
        case.notes.check("header", "typ", "info", text, expected=tuple(wanted) or None, actual=found)


def _purpose(case: Case, header: dict[str, Any]) -> None:
    """Note a type that is made for another purpose than access (RFC 8725 s.3.11, s.3.12)."""
    claims = json_object(case.payload)
    found = purpose(header, claims if isinstance(claims, dict) else None)
    due = {typ for rule in case.subject.rules for typ in rule.typ}
    typ = header.get("typ")
    if found is None or (isinstance(typ, str) and typ in due):
        return
    name, words = found
    checks_claims = any(rule.policy is not None for rule in case.subject.rules)
    case.notes.check("header", "purpose", "warn", f"{words}, not an access token", actual=str(typ)[:40])
    if case.verdict is None and checks_claims:
        text = (
            "accepted, because no typ is asked for: set typ='at+jwt' for this issuer (RFC 8725 section 3.11)"
        )
        case.notes.check("header", "hardening", "warn", text)
    if checks_claims or name == "dpop_proof":
        case.notes.cause("header", name, 97, words)
        case.notes.cause("claims", name, 97, words)


def _other(case: Case, header: dict[str, Any]) -> None:
    """Note crit, b64, keys brought along, and characters that nobody sees."""
    notes = case.notes
    if header.get("b64") is False:
        notes.check("header", "b64", "warn", "the payload is unencoded (RFC 7797)")
        refused = None if case.verdict is None else case.verdict.actual
        if case.code == "b64_unsupported" and "b64" not in (header.get("crit") or ()):
            notes.cause("header", "b64_without_crit", 87, "b64 is false, and crit does not list it")
        elif case.code == "b64_unsupported" or (case.code == "crit_unsupported" and refused == "b64"):
            notes.cause("header", "unencoded_payload", 86, "b64 is false, and b64 is not among crit here")
    elif case.code == "b64_unsupported":
        notes.cause("header", "b64_without_crit", 87, "b64 is true, and crit does not list it")
    if "crit" in header:
        notes.check("header", "crit", "info", "crit is present")
    brought = tuple(name for name in _TRUSTED_BY_NOBODY if name in header)
    if brought:
        text = "the header brings keys or addresses of keys; they are never followed or trusted"
        notes.check("header", "brought_keys", "warn", text, actual=brought)
    for name, value in header.items():
        if isinstance(value, str) and _INVISIBLE.search(f"{name}{value}"):
            notes.check(
                "header", "invisible", "warn", "an invisible character stands in a member", actual=name
            )
    if case.code == "crit_unsupported" and case.verdict is not None and case.verdict.actual != "b64":
        name = str(case.verdict.actual)[:40]
        notes.cause("header", "crit", 89, f"crit names {name!r}, which is not understood here")
    if case.code == "too_large" and case.stage == "header":
        size = len(case.read.decoded[0] or b"")
        notes.check(
            "header", "size", "fail", "past the header's limit", expected=HEADER_MAX_BYTES, actual=size
        )
        notes.cause("header", "header_too_large", 95, f"{size} bytes; the limit is max_header_bytes")

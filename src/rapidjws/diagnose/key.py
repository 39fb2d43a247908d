"""The key: which key the header means, whether it is known, and what is nearly it (RFC 7515 s.4.1.4)."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from rapidjws.diagnose import trial
from rapidjws.diagnose.case import json_object
from rapidjws.diagnose.key_documents import keys_inside, recognise_set
from rapidjws.jose.jwa import ALGORITHM_TABLE

if TYPE_CHECKING:
    from rapidjws.diagnose.case import Case
    from rapidjws.diagnose.subject import KnownKey
    from rapidjws.jose.jwks import Skipped

_SHOWN_KIDS: Final = 12
NO_KEYS_YET: Final = {"keys_unavailable": "keys_not_fetched", "keys_stale": "keys_not_refreshed"}
"""Codes of issuers without keys, with their causes: nothing of a token is judged then."""
_THUMBPRINT_CHARS: Final = 43
_SPIFFE_USES: Final = ("jwt-svid", "x509-svid")
_UNSEEN: Final = re.compile("[\\s\u0000-\u001f\u007f-\u00a0\u00ad\u200b-\u200f\u2060\ufeff]")


def examine(case: Case) -> None:
    """Note the key the header means, and every near miss."""
    notes, subject = case.notes, case.subject
    case.issuer = _issuer_number(case)
    if subject.fault is not None:
        _setup_fault(case)
        return
    if subject.cache_age_s is not None:
        notes.check("key", "cache_age", "info", "age of the keys in use, seconds", actual=subject.cache_age_s)
    _fetches(case)
    in_use = subject.of("in use")
    kids = tuple(str(known.jwk.kid) for known in in_use[:_SHOWN_KIDS])
    notes.check("key", "available", "ok" if in_use else "fail", f"keys in use: {len(in_use)}", actual=kids)
    if case.code == "keys_unavailable" and not in_use and not subject.left_out:
        return  # without a single key the kid cannot be judged
    for issuer, gone in subject.left_out[:_SHOWN_KIDS]:
        owner = "" if issuer is None else f" of {issuer}"
        notes.check("key", "left_out", "warn", f"a key{owner} was left out: {gone.error}", actual=gone.kid)
    if not in_use and not subject.left_out and case.code not in NO_KEYS_YET:
        notes.cause("key", "no_keys", 88, "the set in use holds no usable key")
        return
    kid, alg = case.member("kid"), case.member("alg")
    own = [known for known in in_use if case.owns(known)]
    if kid is None:
        case.targets = [known for known in own if alg in known.jwk.algorithms]
        _without_kid(case, alg)
        return
    case.targets = [known for known in own if known.jwk.kid == kid]
    if case.targets:
        notes.check("key", "kid", "ok", "the kid names a key in use", actual=kid)
        _fits(case, case.targets[0], alg)
        return
    notes.check("key", "kid", "fail", "no key in use has this kid", actual=kid)
    _absent(case, kid, own)


def _fetches(case: Case) -> None:
    """Note how the fetches of the issuer's keys went, where they come from an address."""
    subject = case.subject
    for number, rule in enumerate(subject.rules):
        status = subject.sources.get(rule.iss or "")
        if status is None or case.issuer not in (None, number):
            continue
        age = "never fetched" if status.age_s is None else f"fetched {status.age_s:.0f} s ago"
        failed = (
            ""
            if status.last_failure is None
            else f"; {status.failures} failures, last: {status.last_failure}"
        )
        text = f"keys of {status.name}: {age}{failed}"
        case.notes.check("key", "fetches", "warn" if failed else "ok", text)
        if case.code in NO_KEYS_YET:
            case.notes.cause("key", NO_KEYS_YET[case.code], 88, text)
        elif failed and case.code == "unknown_kid":
            case.notes.cause("key", "keys_not_refreshed", 80, text)


def _issuer_number(case: Case) -> int | None:
    """Return the issuer whose keys and rules apply, as far as the token tells."""
    rules = case.subject.rules
    value = json_object(case.payload)
    case.claims = value if isinstance(value, dict) else None
    if len(rules) == 1:
        return 0
    iss = (case.claims or {}).get("iss")
    for number, rule in enumerate(rules):
        if rule.iss == iss:
            return number
    return None


def _setup_fault(case: Case) -> None:
    """Note why there is nothing to verify with."""
    fault = case.subject.fault
    if fault is None:
        return
    case.notes.check("key", "set_up", "fail", str(fault))
    names = {"jwks_malformed": "jwks_not_json", "mixed_key_set": "jwks_mixed", "keys_unavailable": "no_keys"}
    known = (
        recognise_set(case.subject.document) if fault.code in ("jwks_malformed", "keys_unavailable") else None
    )
    if known is not None:
        case.notes.cause("key", known[0], 97, f"{known[1]}{_trial_with(case)}")
        return
    case.notes.cause("key", names.get(fault.code, fault.code), 95, str(fault))


def _trial_with(case: Case) -> str:
    """Try the keys inside what is no JWK Set; return words for what came of it, or for no trial."""
    alg, signature = case.member("alg"), case.read.decoded[2]
    inside = keys_inside(case.subject.document)
    if alg is None or not signature or not len(inside):
        return "; no key was tried"
    kid = case.member("kid")
    fitting = [jwk for jwk in inside if kid is None or jwk.kid in (None, kid)]
    if any(trial.verifies(case.notes, jwk, alg, case.signing_input, signature) for jwk in fitting):
        return "; the token's signature verifies under the key in it"
    return "; no key in it gave this signature"


def _without_kid(case: Case, alg: str | None) -> None:
    """Note how far a header without kid leads."""
    notes, count = case.notes, len(case.targets)
    notes.check("key", "kid", "warn" if count == 1 else "fail", f"no kid; {count} keys in use serve {alg}")
    if _by_x5t(case):
        return
    if case.code == "missing_kid":
        notes.cause("key", "kid_missing", 85, "a kid is required here")
    elif case.code == "ambiguous_key":
        notes.cause("key", "ambiguous_key", 85, f"{count} keys serve {alg}")
    elif case.code == "no_suitable_key" and not _left_out(case, None):
        notes.cause("key", "no_suitable_key", 70, f"no key in use serves {alg}")


def _by_x5t(case: Case) -> bool:
    """Note a header that names its key by a certificate thumbprint alone (RFC 7515 s.4.1.7, s.4.1.8)."""
    for member in ("x5t", "x5t#S256"):
        named = case.member(member)
        if named is None or case.code not in ("ambiguous_key", "missing_kid", "no_suitable_key"):
            continue
        same = [known for known in case.targets if known.jwk.kid == named]
        which = (
            f"header.{member} names key {same[0].jwk.kid!r}" if same else f"header.{member} is {named[:50]!r}"
        )
        case.notes.cause("key", "key_named_by_x5t", 92 if same else 86, f"{which}; there is no kid")
        return True
    return False


def _fits(case: Case, known: KnownKey, alg: str | None) -> None:
    """Note whether the named key serves the algorithm and the allowed ones."""
    notes, jwk = case.notes, known.jwk
    what = tuple(text for text in (jwk.kty, jwk.crv, jwk.alg, jwk.use) if text)
    serves = alg in jwk.algorithms
    text = "the key serves the header's alg" if serves else "the key does not serve the header's alg"
    notes.check("key", "alg", "ok" if serves else "fail", text, expected=jwk.algorithms, actual=alg)
    notes.check("key", "members", "info", "the key", actual=what)
    if not serves and alg in ALGORITHM_TABLE:
        notes.cause(
            "key", "key_alg_mismatch", 75, f"the key serves {list(jwk.algorithms)}, the header says {alg}"
        )
    allowed = {name for names in case.subject.algorithms for name in names}
    if not allowed & set(jwk.algorithms):
        notes.cause(
            "key", "key_unused", 80, f"the key serves {list(jwk.algorithms)}, allowed are {sorted(allowed)}"
        )
    elif case.code == "unknown_kid":
        notes.cause(
            "key", "key_unused", 78, f"the key serves {list(jwk.algorithms)}, allowed are {sorted(allowed)}"
        )
    _against_fresh(case, known)


def _against_fresh(case: Case, known: KnownKey) -> None:
    """Compare the key in use with the one of a fresh fetch."""
    if not case.subject.has_fresh:
        return
    ours = [other for other in case.subject.of("fresh") if other.issuer == known.issuer]
    fresh = [other for other in ours if other.jwk.kid == known.jwk.kid]
    same = [other for other in fresh if other.jwk.thumbprint() == known.jwk.thumbprint()]
    if same:
        case.notes.check("key", "fresh", "ok", "a fresh fetch holds the same key")
    elif fresh:
        case.notes.check("key", "fresh", "fail", "a fresh fetch holds another key under this kid")
        case.notes.cause("key", "key_replaced", 70, "the fresh set has another key under the same kid")
    else:
        case.notes.check("key", "fresh", "warn", "a fresh fetch does not hold this kid any more")


def _absent(case: Case, kid: str, own: list[KnownKey]) -> None:
    """Name what is nearly a kid that no key in use has."""
    notes = case.notes
    if _left_out(case, kid):
        return
    if any(other.jwk.kid == kid and case.owns(other) for other in case.subject.of("fresh")):
        age = case.subject.cache_age_s
        aged = "" if age is None else f"; the keys in use are {age:.0f} s old: stale"
        notes.check("key", "fresh", "fail", f"a fresh fetch holds this kid{aged}")
        notes.cause("key", "stale_cache", 88, f"a fresh fetch holds this kid{aged}")
        return
    if case.subject.has_fresh:
        notes.check("key", "fresh", "info", "a fresh fetch does not hold this kid either")
    for other in case.subject.known:
        if other.jwk.kid == kid and not case.owns(other):
            where = f"the kid is that of {other.name}"
            notes.check("key", "other_owner", "info", where)
            foreign = other.origin not in ("in use", "fresh")
            notes.cause("key", "other_environment" if foreign else "kid_of_other_issuer", 72, where)
            return
        if other.jwk.kid == kid and other.origin not in ("in use", "fresh"):
            notes.cause("key", "other_environment", 74, f"the kid is that of {other.name}")
            return
    near = near_miss(kid, own)
    if near is not None:
        name, known, text = near
        case.targets = [known]
        notes.check("key", "near_miss", "warn", text, expected=known.jwk.kid, actual=kid)
        notes.cause("key", name, 76, text)
    else:
        notes.cause("key", "kid_unknown", 62, f"the kids in use are {[item.jwk.kid for item in own][:6]}")


def _left_out(case: Case, kid: str | None) -> bool:
    """Note the key of this kid, or any where there is none, that a set names and nobody can use."""
    own = None if case.issuer is None else case.subject.rules[case.issuer].iss
    for issuer, gone in case.subject.left_out:
        if own is not None and issuer is not None and issuer != own:
            continue
        if kid is None or gone.kid == kid or (gone.kid is None and gone.code == "key_malformed"):
            name, words = _why_left_out(gone)
            sure = kid is None or gone.kid == kid
            case.notes.cause("key", name, 86 if sure else 59, words)
            return True
    return False


def _why_left_out(gone: Skipped) -> tuple[str, str]:
    """Return the cause and words for a key that nobody can use."""
    place = gone.error.place or ""
    member = place.rpartition(".")[2]
    if gone.code == "duplicate_kid":
        return "duplicate_kid", str(gone.error)
    if str(gone.error.actual).partition(":")[0] in ("NoneType", "null"):
        return "key_null_members", f"{place}: {member} is null: leave it out"
    used_for = str(gone.error.actual).partition(" ")[0]
    if member == "use" and used_for in _SPIFFE_USES:
        return "spiffe_bundle", f"{place} is {used_for!r}, as the SPIFFE specification demands"
    return "key_left_out", str(gone.error)


def near_miss(kid: str, known: list[KnownKey]) -> tuple[str, KnownKey, str] | None:
    """Return the cause, the key and words for a kid that is nearly a known one, or None."""
    for item in known:
        other = item.jwk.kid
        if len(kid) == _THUMBPRINT_CHARS and kid == item.jwk.thumbprint():
            return "kid_is_thumbprint", item, f"the kid is the thumbprint of kid {other!r}"
        if other is None:
            continue
        name = _likeness(kid, other)
        if name is not None:
            return name, item, f"the kid is nearly {other!r}"
    return None


def _likeness(kid: str, other: str) -> str | None:
    """Return the cause that makes one kid of another, or None."""
    if _UNSEEN.sub("", kid) == _UNSEEN.sub("", other):
        return "kid_whitespace"
    if kid.lower() == other.lower():
        return "kid_case"
    if other in _decodings(kid) or kid in _decodings(other):
        return "kid_encoding"
    shorter, longer = sorted((kid, other), key=len)
    if len(shorter) >= 4 and (longer.startswith(shorter) or longer.endswith(shorter)):
        return "kid_truncated"
    if min(len(kid), len(other)) >= 4 and abs(len(kid) - len(other)) <= 1 and _edits(kid, other) <= 1:
        return "kid_typo"
    return None


def _decodings(text: str) -> set[str]:
    """Return other spellings of a kid: percent, hexadecimal, base64, base64url, with or without dashes."""
    found = {unquote(text), text.replace("-", ""), text.strip('"{}')}
    try:
        found.add(base64.b64encode(bytes.fromhex(text.replace(":", ""))).decode())
        found.add(base64.urlsafe_b64encode(bytes.fromhex(text.replace(":", ""))).decode().rstrip("="))
        found.add(text.replace(":", "").lower())
    except ValueError:
        pass
    octets = text.encode("utf-8", "replace")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found |= {encode(octets).decode(), encode(octets).decode().rstrip("=")}
    found |= {text.rstrip("="), text.replace("+", "-").replace("/", "_").rstrip("=")}
    return found - {text}


def _edits(one: str, two: str) -> int:
    """Return how many places differ, at most counting two; swaps of neighbours count one."""
    if len(one) == len(two):
        places = [index for index in range(len(one)) if one[index] != two[index]]
        if len(places) == 2 and places[1] == places[0] + 1:
            first, second = places
            if one[first] == two[second] and one[second] == two[first]:
                return 1
        return len(places)
    shorter, longer = sorted((one, two), key=len)
    return 1 if any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer))) else 2

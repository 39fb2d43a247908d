"""The claims section: each claim, what is due, what was found, how the leeway decided (RFC 7519 s.4.1)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from rapidjws import _native
from rapidjws.diagnose.case import json_object
from rapidjws.diagnose.claim_rules import examine_auth_time, examine_rules
from rapidjws.jose.limits import CLOCK_FLOOR_S, NUMERIC_DATE_MAX_S

if TYPE_CHECKING:
    from rapidjws.diagnose.case import Case
    from rapidjws.jose.claims import ClaimsPolicy
    from rapidjws.verify.rules import Rules

_MILLISECONDS_FROM: Final = 50_000_000_000
_DURATION_TO: Final = 100_000_000
_JUST_S: Final = 300
_ZONES_S: Final = (
    *(hours * 3600 for hours in range(1, 15)),
    *(minutes * 60 for minutes in (150, 210, 270, 330, 345, 390, 570, 630)),
)
"""Distances of time zones in use from UTC."""
_ZONE_BLUR_S: Final = 60
_GIVEN_FLOOR_S: Final = 1_262_304_000
"""2010-01-01: a moment to judge at that was given and lies before any JWT is a clock that was never set."""
_OTHER_NAMES: Final = {
    "iss": ("issuer", "Iss", "ISS"), "aud": ("audience", "Aud", "client_id"),
    "exp": ("expires", "expiry", "expires_at", "expiration", "exp_at", "Exp"),
    "iat": ("issued_at", "issuedAt", "created", "Iat"), "sub": ("subject", "user_id", "uid"),
    "jti": ("id", "token_id", "JTI"), "nbf": ("not_before", "notBefore"),
}  # fmt: skip
_KINDS: Final = {
    int: "a number",
    float: "a number",
    bool: "true or false",
    list: "an array",
    dict: "an object",
}
_ISO: Final = re.compile(r"^\d{4}-\d\d-\d\d")


def examine(case: Case) -> None:
    """Note every claim against the rules of the issuer."""
    notes, data = case.notes, case.payload
    rule = None if case.issuer is None or not case.subject.rules else case.subject.rules[case.issuer]
    policy = None if rule is None else rule.policy
    due = any(item.policy is not None for item in case.subject.rules)
    if case.claims is None:
        if due and data is not None:
            _no_claims(case, data)
        elif data is not None:
            notes.check("claims", "payload", "info", "the payload is opaque", actual=f"{len(data)} bytes")
        return
    trust = "signature verified" if case.signed else "not verified: whoever sent the token wrote them"
    notes.check("claims", "payload", "ok", f"a JSON object ({trust})", actual=tuple(case.claims)[:12])
    if data is not None and data.startswith(b"\xef\xbb\xbf"):
        notes.check("claims", "byte_order_mark", "fail", "a byte order mark stands before the JSON")
        notes.cause("claims", "byte_order_mark", 85, "the payload starts with EF BB BF")
    if case.code == "duplicate_member" and case.stage == "claims":
        notes.cause("claims", "duplicate_claim", 86, str(case.verdict))
    _types(case, case.claims)
    _issuer(case, case.claims.get("iss"))
    if policy is None:
        _times(case, case.claims, 0, None)
        return
    _presence(case, case.claims, policy)
    _audience(case, case.claims.get("aud"), policy)
    examine_rules(case, case.claims, policy)
    examine_auth_time(case, case.claims, policy)
    _times(case, case.claims, policy.leeway_s, policy.max_age_s)


def _no_claims(case: Case, data: bytes) -> None:
    """Note a payload that is no JSON object though claims are due."""
    value = json_object(data)
    again = value.encode("utf-8", "replace") if isinstance(value, str) else None
    twice = json_object(again) if again is not None else json_object(_native.b64url_decode(data.strip(b"=")))
    name = "payload_not_json" if value is None else "payload_not_claims"
    if isinstance(twice, dict):
        name = "payload_encoded_twice"
    elif data[:3] == b"\xef\xbb\xbf":
        name = "byte_order_mark"
    case.notes.check("claims", "payload", "fail", "the payload is no JSON object, but claims are due")
    case.notes.cause("claims", name, 84, f"{len(data)} bytes")


def _issuer(case: Case, iss: Any) -> None:
    """Note iss against the configured issuers."""
    configured = tuple(name for rule in case.subject.rules for name in _names(rule))
    if not configured:
        return
    templates = [rule.policy.template for rule in case.subject.rules if rule.policy is not None]
    fitting = [one for one in templates if one is not None and isinstance(iss, str) and one.variable(iss)]
    if iss in configured or any(one.passes(iss, case.claims or {}) for one in fitting):
        case.notes.check("claims", "iss", "ok", "a configured issuer", actual=iss)
        return
    if fitting:
        text = f"iss fits {fitting[0].text}, but the claim {fitting[0].claim} is not what stands in it"
        case.notes.check("claims", "iss", "fail", text, actual=iss)
        case.notes.cause("claims", "tenant_mismatch", 88, text)
        return
    if not isinstance(iss, str):
        case.notes.check("claims", "iss", "fail", "iss is missing or no text", expected=configured)
        return
    case.notes.check("claims", "iss", "fail", "not a configured issuer", expected=configured, actual=iss)
    alike = next((name for name in configured if same_place(iss, name)), None)
    if alike is not None:
        case.notes.cause("claims", "issuer_spelling", 88, f"iss is {iss[:80]!r}, configured is {alike!r}")
        case.notes.cause("key", "issuer_spelling", 86, f"iss is {iss[:80]!r}, configured is {alike!r}")
    elif _own_key(case, iss):
        return
    else:
        case.notes.cause("claims", "issuer_other", 72, f"iss is {iss[:80]!r}")
        if case.code == "unknown_issuer":
            case.notes.cause("key", "unknown_issuer", 72, f"iss is {iss[:80]!r}")


def _names(rule: Rules) -> tuple[str, ...]:
    """Return every name of an issuer."""
    others = () if rule.policy is None else rule.policy.other_issuers
    return () if not rule.iss else (rule.iss, *others)


def _own_key(case: Case, iss: str) -> bool:
    """Note that a configured issuer's own key signed under another iss: what is configured must change."""
    owners = {known.issuer for known in case.targets} if case.signed else set()
    if len(owners) != 1 or None in owners:
        return False
    text = f"the signature verifies under the key of {next(iter(owners))!r}; iss is {iss[:80]!r}"
    case.notes.cause("claims", "issuer_of_own_key", 95, text)
    case.notes.cause("key", "issuer_of_own_key", 95, text)
    return True


def _types(case: Case, claims: dict[str, Any]) -> None:
    """Note iss, sub and jti that are no strings (RFC 7519 s.4.1.1, s.4.1.2, s.4.1.7)."""
    for name in ("iss", "sub", "aud", "jti", "exp", "nbf", "iat"):
        if case.code == "malformed_claim" and name in claims and claims[name] is None:
            case.notes.check("claims", name, "fail", f"{name} is null")
            case.notes.cause("claims", "claim_null", 88, f"{name} is null: leave it out or send a value")
    for name in ("iss", "sub", "jti"):
        value = claims.get(name)
        if value is None or isinstance(value, str):
            continue
        kind = _KINDS.get(type(value), "a value of another type")
        case.notes.check("claims", name, "fail", f"{name} is {kind}, it must be a string")
        case.notes.cause("claims", "claim_type", 86, f"{name} is {kind}, it must be a string")


def same_place(one: str, two: str) -> bool:
    """Say whether two names are one address in two spellings: slash, case, scheme, port, www, white space."""

    def plain(text: str) -> str:
        text = text.strip().strip("/").lower()
        try:
            parts = urlsplit(text if "//" in text else f"//{text}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return text
        shown = "" if port in (None, 80, 443) else f":{port}"
        return f"{host.removeprefix('www.')}{shown}{parts.path.rstrip('/')}"

    return plain(one) == plain(two)


def _presence(case: Case, claims: dict[str, Any], policy: ClaimsPolicy) -> None:
    """Note claims that the rules need and the token lacks."""
    due = {"iss": True, "aud": bool(policy.audiences), "exp": policy.exp_required}
    due |= {"iat": policy.max_age_s is not None} | dict.fromkeys(policy.needed, True)
    for name, needed in due.items():
        if not needed or claims.get(name) is not None:
            continue
        case.notes.check("claims", name, "fail", "a required claim is missing or null")
        other = next((other for other in _OTHER_NAMES.get(name, ()) if other in claims), None)
        if other is not None:
            case.notes.cause("claims", "claim_misnamed", 86, f"{name} is missing, {other!r} is there")
        elif name in claims:
            case.notes.cause("claims", "claim_null", 88, f"{name} is null: leave it out or send a value")
        else:
            case.notes.cause("claims", "claim_missing", 80, f"{name} is missing")


def _audience(case: Case, aud: Any, policy: ClaimsPolicy) -> None:
    """Note aud against the names of this service."""
    if aud is None:
        return
    notes, ours = case.notes, policy.audiences
    named = (aud,) if isinstance(aud, str) else tuple(aud) if isinstance(aud, list) else ()
    texts = tuple(name for name in named if isinstance(name, str))
    if len(texts) != len(named) or (not named and not isinstance(aud, list)):
        notes.check("claims", "aud", "fail", "aud is neither text nor an array of text")
        kind = _KINDS.get(type(aud), "of another type")
        notes.cause("claims", "claim_type", 84, f"aud is {kind}, it must be a string or an array of strings")
        return
    if set(texts) & set(ours):
        notes.check("claims", "aud", "ok", "names this service", expected=ours, actual=texts)
        return
    notes.check("claims", "aud", "fail", "does not name this service", expected=ours, actual=texts)
    if not ours:
        notes.cause("claims", "audience_unset", 84, f"aud is {list(texts)[:4]}")
    elif any(set(re.split(r"[\s,;\[\]\"]+", text)) & set(ours) for text in texts):
        notes.cause("claims", "audience_joined", 86, "one string holds a configured audience among others")
    elif any(same_place(text, name) for text in texts for name in ours):
        notes.cause(
            "claims", "audience_spelling", 85, f"aud is {list(texts)[:4]}, configured {list(ours)[:4]}"
        )
    else:
        is_id = bool({"nonce", "at_hash", "c_hash"} & (case.claims or {}).keys())
        name = "id_token" if is_id else "audience_other"
        notes.cause("claims", name, 80, f"aud is {list(texts)[:4]}, configured {list(ours)[:4]}")


def _times(case: Case, claims: dict[str, Any], leeway_s: int, max_age_s: int | None) -> None:
    """Note the dates, by how much each passes or fails, and whether the leeway decided."""
    dates: dict[str, float] = {}
    for name in ("iat", "nbf", "exp"):
        if claims.get(name) is not None:
            number = _date(case, name, claims[name])
            if number is not None:
                dates[name] = number
    if case.now < (CLOCK_FLOOR_S if case.is_clock else _GIVEN_FLOOR_S):
        case.notes.check("claims", "clock", "fail", "this machine's clock reads earlier than this release")
        case.notes.cause("claims", "clock_here", 87, f"the clock reads {int(case.now)}")
    offset = _zone(dates.get("iat"), case.now)
    exp, nbf, iat = dates.get("exp"), dates.get("nbf"), dates.get("iat")
    if exp is not None:
        _expiry(case, exp, iat, leeway_s, offset)
    for name, date in (("nbf", nbf), ("iat", iat)):
        if date is not None:
            _beginning(case, name, date, leeway_s, offset)
    if max_age_s is not None and iat is not None:
        late = case.now - iat - max_age_s
        passes = late <= leeway_s
        text = f"{_spell(case.now - iat)} old, allowed are {_spell(max_age_s)} and {leeway_s} s leeway"
        case.notes.check("claims", "max_age", "ok" if passes else "fail", text)
        if not passes:
            case.notes.cause("claims", "too_old", 80, text)


def _date(case: Case, name: str, value: Any) -> float | None:
    """Return a date as a number, or None with the reason noted."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value > _MILLISECONDS_FROM:
            finer = "milliseconds" if value < _MILLISECONDS_FROM * 100 else "microseconds or finer"
            case.notes.check("claims", name, "fail", f"looks like {finer}", actual=value)
            case.notes.cause("claims", "date_milliseconds", 87, f"{name} is {value}")
            return None
        if not 0 <= value <= NUMERIC_DATE_MAX_S:
            case.notes.check("claims", name, "fail", "out of range", actual=value)
            case.notes.cause("claims", "date_type", 80, f"{name} is {value}")
            return None
        return float(value)
    text = isinstance(value, str)
    kind = "a date as text" if text and _ISO.match(value) else "a number as text" if text else "no number"
    case.notes.check("claims", name, "fail", kind, actual=type(value).__name__)
    case.notes.cause("claims", "date_text" if text else "date_type", 86, f"{name} is {kind}")
    return None


def _expiry(case: Case, exp: float, iat: float | None, leeway_s: int, offset: float | None) -> None:
    """Note exp."""
    notes, over = case.notes, case.now - exp
    if over < 0:
        notes.check("claims", "exp", "ok", f"expires in {_spell(-over)}", actual=exp)
        return
    if over < leeway_s:
        text = f"expired {_spell(over)} ago; accepted by the leeway of {leeway_s} s alone"
        notes.check("claims", "exp", "warn", text, actual=exp)
        return
    text = f"expired {_spell(over)} ago, leeway {leeway_s} s"
    notes.check("claims", "exp", "fail", text, expected=f"later than {int(case.now - leeway_s)}", actual=exp)
    if exp < _DURATION_TO:
        notes.cause("claims", "date_duration", 88, f"exp is {exp:.0f}: that is {_spell(exp)} after 1970")
    elif iat is not None and exp <= iat:
        notes.cause("claims", "lifetime_negative", 87, f"exp lies {_spell(iat - exp)} before iat")
    else:
        notes.cause("claims", "expired_just_now" if over < leeway_s + _JUST_S else "expired", 78, text)
        if offset is not None and offset < 0:  # an age proves nothing of a clock
            hours = f"iat lies {_spell(-offset)} back, nearly whole hours: a clock on local time is possible"
            notes.check("claims", "age", "info", hours)


def _beginning(case: Case, name: str, date: float, leeway_s: int, offset: float | None) -> None:
    """Note nbf or iat."""
    notes, early = case.notes, date - case.now
    if early <= 0:
        notes.check("claims", name, "ok", f"{name} lies {_spell(-early)} back", actual=date)
    elif early <= leeway_s:
        text = f"{_spell(early)} in the future; accepted by the leeway of {leeway_s} s alone"
        notes.check("claims", name, "warn", text, actual=date)
    else:
        text = f"{name} lies {_spell(early)} in the future, leeway {leeway_s} s"
        notes.check("claims", name, "fail", text, expected=f"at most {int(case.now + leeway_s)}", actual=date)
        zone = offset if offset is not None else _zone(date, case.now)
        iat = (case.claims or {}).get("iat")
        dated = isinstance(iat, (int, float)) and not isinstance(iat, bool) and iat > case.now + leeway_s
        if name == "nbf" and not dated:  # only a time of issue in the future tells of a clock
            notes.cause("claims", "activated_later", 82, text)
        elif zone is not None and zone > 0:
            notes.cause("claims", "clock_local_time", 84, f"{text}: nearly whole hours")
        else:
            notes.cause(
                "claims", "clock_ahead", 78, f"{text}; {math.ceil(early)} s of leeway would accept it"
            )


def _zone(date: float | None, now: float) -> float | None:
    """Return the distance of a date from now where it is nearly a time zone's, else None."""
    if date is None:
        return None
    distance = date - now
    near = any(abs(abs(distance) - zone) <= _ZONE_BLUR_S for zone in _ZONES_S)
    return distance if near else None


def _spell(seconds: float) -> str:
    """Return a span in words."""
    seconds = abs(seconds)
    if seconds < 120:
        return f"{seconds:.0f} s"
    for size, word in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds:.0f} s ({seconds / size:.1f} {word})"
    return f"{seconds:.0f} s"

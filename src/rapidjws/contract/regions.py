"""One issuer's JWK Set as several addresses or regions answer it: what differs, and which of them lags.

A cache in between, a region that was not deployed, or two origins behind one name make tokens verify here and
not there. Source: RFC 9111 (Age, Date), RFC 9110 (Last-Modified, ETag).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.jose.lint import Finding
from rapidjws.keys.headers import etag_of, stated_life_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rapidjws.contract.fetch import Fetched
    from rapidjws.jose.lint import Level

APART_S: Final = 5.0
"""Seconds by which two answers must have been made apart, to call one of them the older."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionAnswer:
    """What one address answered.

    Attributes:
        name: The region, or the address.
        url: The address.
        fault: Why there are no keys, or None.
        keys: kid, or a thumbprint where there is none -> thumbprint.
        etag: The ETag, or None.
        last_modified_s: Last-Modified, seconds since the epoch, or None.
        made_s: When the origin made the answer: Date less Age, seconds since the epoch, or None.
        age_s: The Age header: how long a cache has had it, or None.
        max_age_s: How long it is fresh, less its Age, or None.
        cache_control: The header as it came, or None.
        seconds: How long the fetch took.
    """

    name: str
    url: str
    fault: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    last_modified_s: float | None = None
    made_s: float | None = None
    age_s: float | None = None
    max_age_s: float | None = None
    cache_control: str | None = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {name: dict(self.keys) if name == "keys" else getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs between addresses.

    Attributes:
        answers: One an address, in their order.
        lagging: The names of those that lag, each with why in words.
        findings: What differs, errors first.
    """

    answers: tuple[RegionAnswer, ...]
    lagging: Mapping[str, str]
    findings: tuple[Finding, ...]

    @property
    def is_same(self) -> bool:
        """Return whether every address answered with the same keys."""
        return not any(one.level == "error" for one in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "same": self.is_same,
            "lagging": dict(self.lagging),
            "answers": [one.as_dict() for one in self.answers],
            "findings": [one.as_dict() for one in self.findings],
        }


def answer_of(name: str, got: Fetched) -> RegionAnswer:
    """Return what is compared of an answer; never raises for what a server sent."""
    headers = got.headers
    age = headers.get("age", "").strip()
    age_s = float(age) if age.isascii() and age.isdecimal() and len(age) < 10 else None
    date_s = _date_s(headers.get("date"))
    shown = RegionAnswer(
        name=name,
        url=got.url,
        fault=got.fault,
        etag=etag_of(headers),
        last_modified_s=_date_s(headers.get("last-modified")),
        made_s=None if date_s is None else date_s - (age_s or 0.0),
        age_s=age_s,
        max_age_s=stated_life_s(headers),
        cache_control=headers.get("cache-control"),
        seconds=round(got.seconds, 3),
    )
    if got.fault is not None:
        return shown
    return _with_keys(shown, got.body)


def _with_keys(shown: RegionAnswer, body: bytes) -> RegionAnswer:
    try:
        keys = JWKSet.from_json(body, fetched=True)
    except RapidJWSError as refused:
        return replace(shown, fault=refused.code)
    if not len(keys):
        return replace(shown, fault="no_usable_key")
    named = {key.thumbprint() if key.kid is None else key.kid: key.thumbprint() for key in keys}
    return replace(shown, keys=named)


def _date_s(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def compare(answers: Sequence[RegionAnswer]) -> Comparison:
    """Compare what addresses answered.

    Args:
        answers: One an address.
    """
    found: list[Finding] = []
    for one in answers:
        if one.fault is not None:
            found.append(_finding("error", one, "no_keys", f"no keys: {one.fault}"))
    good = [one for one in answers if one.fault is None]
    lagging = _compare_keys(good, found)
    _compare_headers(good, found)
    order: dict[Level, int] = {"error": 0, "warning": 1, "note": 2}
    findings = tuple(sorted(found, key=lambda finding: order[finding.level]))
    return Comparison(answers=tuple(answers), lagging=lagging, findings=findings)


def _finding(level: Level, one: RegionAnswer, code: str, text: str) -> Finding:
    return Finding(level=level, place=one.name, code=code, text=text)


def _compare_keys(good: Sequence[RegionAnswer], found: list[Finding]) -> dict[str, str]:
    """Note which sets differ from the newest, and return which addresses lag, and why."""
    if len({_mark(one) for one in good}) < 2:
        return {}
    newest, why = _newest(good)
    lagging: dict[str, str] = {}
    reference = good[0] if newest is None else newest
    for one in good:
        if _mark(one) == _mark(reference):
            continue
        words = _apart(one, reference)
        code = "other_material" if _replaced(one, reference) else "other_keys"
        found.append(_finding("error", one, code, f"{words}, compared with {reference.name}"))
        if newest is not None:
            lagging[one.name] = why
    if newest is None:
        text = "nothing tells which of them is the newer: no dates, and no majority"
        found.append(Finding(level="warning", place="all", code="newest_unknown", text=text))
    return lagging


def _mark(one: RegionAnswer) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(one.keys.items()))


def _newest(good: Sequence[RegionAnswer]) -> tuple[RegionAnswer | None, str]:
    """Return the answer to compare with, and by what it is the newest; None where nothing tells."""
    for name, words in (
        ("last_modified_s", "an older Last-Modified"),
        ("made_s", "an older copy (Date, Age)"),
    ):
        dates = {one.name: getattr(one, name) for one in good}
        if any(date is None for date in dates.values()):
            continue
        newest = max(good, key=lambda one: dates[one.name])
        older = [dates[one.name] for one in good if _mark(one) != _mark(newest)]
        if dates[newest.name] - max(older) >= APART_S:
            return newest, words
    counts = Counter(_mark(one) for one in good).most_common(2)
    if counts[0][1] > counts[1][1]:
        return next(one for one in good if _mark(one) == counts[0][0]), "other keys than most addresses have"
    return None, ""


def _replaced(one: RegionAnswer, reference: RegionAnswer) -> list[str]:
    return [kid for kid, print_ in reference.keys.items() if one.keys.get(kid, print_) != print_]


def _apart(one: RegionAnswer, reference: RegionAnswer) -> str:
    parts = {
        "missing": [kid for kid in reference.keys if kid not in one.keys],
        "extra": [kid for kid in one.keys if kid not in reference.keys],
        "other key under": _replaced(one, reference),
    }
    return "; ".join(f"{words} {', '.join(kids)}" for words, kids in parts.items() if kids)


def _compare_headers(good: Sequence[RegionAnswer], found: list[Finding]) -> None:
    """Note what caches make of the answers."""
    for one in good:
        if one.age_s is not None and one.max_age_s == 0.0:
            text = f"a cache has had it for {one.age_s:.0f} s, longer than {one.cache_control or 'it may'}"
            found.append(_finding("warning", one, "past_its_life", text))
        if one.etag is None and one.last_modified_s is None:
            found.append(_finding("note", one, "no_validator", "neither ETag nor Last-Modified"))
    for name, code in (("cache_control", "other_cache_control"), ("etag", "other_etag")):
        values = Counter(getattr(one, name) for one in good).most_common()
        if len(values) < 2:
            continue
        usual = values[0][0]
        level: Level = "warning" if name == "cache_control" else "note"
        for one in good:
            if getattr(one, name) != usual:
                text = f"{getattr(one, name) or 'none'}; most often {usual or 'none'}"
                found.append(_finding(level, one, code, text))

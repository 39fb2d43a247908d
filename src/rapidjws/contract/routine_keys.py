"""The look at keys: age, end, rotation, JWKS lint and headers, and which of them tokens use.

A JWK does not say since when it is published. What was seen at earlier looks is remembered in a file: kid and
thumbprint, first and last time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timezone
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws.contract.http_lint import lint_address
from rapidjws.contract.routine import DAY_S, Limits, RoutineFinding, days
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.rollout.measures import safe_name
from rapidjws.rollout.request_metrics import KEY_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from rapidjws.contract.fetch import Fetched
    from rapidjws.contract.routine import Level

MEMORY_MAX_BYTES: Final = 16 << 20
REMEMBERED_MAX: Final = 1000
"""Keys of an issuer that are remembered; those that were seen longest ago go."""

PUBLISH_BEFORE_USE_S: Final = 86_400
_CERTAIN_S: Final = 7 * DAY_S
"""How long a new key must be published until the use of an older one is remarkable."""


@dataclass(slots=True, kw_only=True)
class SeenKey:
    """A key as it was seen at looks.

    Attributes:
        kid: Its kid, or None.
        first_s: When first, seconds since the epoch.
        last_s: When last.
    """

    kid: str | None
    first_s: float
    last_s: float


@dataclass(slots=True)
class KeyMemory:
    """What looks saw: issuer -> thumbprint -> when.

    Attributes:
        seen: That.
    """

    seen: dict[str, dict[str, SeenKey]] = field(default_factory=dict)

    def note(self, issuer: str, keys: Mapping[str, str | None], now_s: float) -> None:
        """Note the keys that an issuer publishes now."""
        known = self.seen.setdefault(issuer, {})
        for thumbprint, kid in keys.items():
            one = known.setdefault(thumbprint, SeenKey(kid=kid, first_s=now_s, last_s=now_s))
            one.kid, one.last_s = kid, now_s
        if len(known) > REMEMBERED_MAX:
            kept = sorted(known.items(), key=lambda item: -item[1].last_s)[:REMEMBERED_MAX]
            self.seen[issuer] = dict(kept)

    @classmethod
    def read(cls, path: Path) -> KeyMemory:
        """Read what was seen; nothing where there is no file.

        Raises:
            OSError: It cannot be read.
            ValueError: It is none of ours.
        """
        try:
            found = json.loads(_files.read_trusted(path, MEMORY_MAX_BYTES))
        except FileNotFoundError:
            return cls()
        try:
            return cls({
                str(issuer): {str(mark): SeenKey(kid=one["kid"], first_s=float(one["first_s"]),
                                                 last_s=float(one["last_s"])) for mark, one in keys.items()}
                for issuer, keys in found["issuers"].items()
            })  # fmt: skip
        except (KeyError, TypeError, AttributeError):
            raise ValueError("other members than expected") from None

    def write(self, path: Path) -> None:
        """Write what was seen, whole; raises OSError."""
        shown = {issuer: {mark: {"kid": one.kid, "first_s": one.first_s, "last_s": one.last_s}
                          for mark, one in keys.items()} for issuer, keys in self.seen.items()}  # fmt: skip
        _files.replace(path, json.dumps({"issuers": shown}).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKey:
    """A key that an issuer publishes now.

    Attributes:
        kid: Its kid, or None.
        thumbprint: Its thumbprint.
        since_s: Since when it is known: from its own dates, or from earlier looks.
        until_s: When it ends by its own dates, or None.
        used: How many good tokens verified under it, first and last, or None where none did.
    """

    kid: str | None
    thumbprint: str
    since_s: float
    until_s: float | None = None
    used: tuple[int, int, int] | None = None

    @property
    def name(self) -> str:
        """Return how it is called in findings."""
        return f"kid {self.kid!r}" if self.kid is not None else f"the key {self.thumbprint[:KEY_CHARS]}"

    def as_dict(self, now_s: float) -> dict[str, Any]:
        """Return the key as JSON values."""
        used = {"tokens": 0, "last_used_s": None} if self.used is None else {
            "tokens": self.used[0], "last_used_s": self.used[2]}  # fmt: skip
        shown = {
            "kid": self.kid,
            "thumbprint": self.thumbprint,
            "age_days": round((now_s - self.since_s) / DAY_S, 1),
        }
        left = None if self.until_s is None else round((self.until_s - now_s) / DAY_S, 1)
        return {**shown, "expires_in_days": left, **used}


def published_keys(
    issuer: str, body: bytes, memory: KeyMemory, used: Mapping[str, list[int]], now_s: float
) -> list[PublishedKey]:
    """Return the keys of a JWK Set with their dates and use, and note them; none where it is no set."""
    try:
        keys = JWKSet.from_json(body, fetched=True)
    except RapidJWSError:
        return []
    members = {str(one.get("kid")): one for one in json.loads(body)["keys"] if isinstance(one, dict)}
    named = {key.thumbprint(): key.kid for key in keys if key.kty != "oct"}
    memory.note(issuer, named, now_s)
    found = []
    for thumbprint, kid in named.items():
        begin_s, end_s = _dates(members.get(str(kid), {}))
        first_s = memory.seen[issuer][thumbprint].first_s
        count = used.get(thumbprint[:KEY_CHARS])
        found.append(PublishedKey(
            kid=kid, thumbprint=thumbprint, since_s=first_s if begin_s is None else min(begin_s, first_s),
            until_s=end_s, used=None if count is None else (count[0], count[1], count[2]),
        ))  # fmt: skip
    return found


def _dates(member: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return begin and end of a key: by its nbf or iat and exp (OpenID Federation), or its certificate."""
    begin_s = next((_number(member.get(name)) for name in ("nbf", "iat") if _number(member.get(name))), None)
    end_s = _number(member.get("exp"))
    chain = member.get("x5c")
    if (begin_s is None or end_s is None) and isinstance(chain, list) and chain:
        try:
            import base64

            from cryptography import x509

            leaf = x509.load_der_x509_certificate(base64.b64decode(chain[0]))
            begins, ends = (one.replace(tzinfo=timezone.utc) for one in
                            (leaf.not_valid_before_utc, leaf.not_valid_after_utc))  # fmt: skip
            return begin_s or begins.timestamp(), end_s or ends.timestamp()
        except Exception:  # a stranger's certificate: one that cannot be read has no dates
            return begin_s, end_s
    return begin_s, end_s


def _number(value: object) -> float | None:
    return (
        float(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
        else None
    )


def key_findings(
    issuer: str, got: Fetched | None, keys: list[PublishedKey], limits: Limits, now_s: float
) -> Iterator[RoutineFinding]:
    """Yield what there is to say of an issuer's set: its address, its keys' ages and ends, rotation, use.

    Args:
        issuer: The issuer.
        got: What its address answered, or None for a file.
        keys: What it publishes.
        limits: From where on something is named.
        now_s: Seconds since the epoch.
    """
    if got is not None:
        for one in lint_address(got, PUBLISH_BEFORE_USE_S):
            yield _finding(one.level, "jwks", issuer, one.code, f"{one.place}: {one.text}")
    for key in keys:
        if key.until_s is None:
            continue
        left_s = key.until_s - now_s
        if left_s <= 0:
            yield _finding("error", "keys", issuer, "key_expired", f"{key.name} ended {days(-left_s)} ago")
        elif left_s < limits.expires_days * DAY_S:
            yield _finding("warning", "keys", issuer, "key_expires", f"{key.name} ends in {days(left_s)}")
    if keys:
        newest = max(keys, key=lambda key: key.since_s)
        age_s = now_s - newest.since_s
        if age_s > limits.rotate_days * DAY_S:
            text = (
                f"the newest key, {newest.name}, is {days(age_s)} old, the limit is {limits.rotate_days:.0f}"
            )
            yield _finding("warning", "rotation", issuer, "rotation_overdue", text)
        yield from _use_findings(issuer, keys, newest, limits, now_s)


def _use_findings(
    issuer: str, keys: list[PublishedKey], newest: PublishedKey, limits: Limits, now_s: float
) -> Iterator[RoutineFinding]:
    """Yield keys that no token uses, and old ones that tokens use although there is a newer one."""
    if not any(key.used for key in keys):
        return
    for key in keys:
        last_s = key.since_s if key.used is None else key.used[2]
        if key is not newest and now_s - last_s > limits.unused_days * DAY_S:
            text = f"{key.name}: no token of it for {days(now_s - last_s)}; ask the issuer to withdraw it"
            yield _finding("warning", "use", issuer, "unused_key", text)
        elif key is not newest and key.used is not None and now_s - newest.since_s > _CERTAIN_S:
            recent = now_s - key.used[2] < DAY_S and newest.since_s > key.since_s
            if recent:
                since = days(now_s - newest.since_s)
                text = f"{key.name} signs still, although {newest.name} is published for {since}"
                yield _finding("warning", "use", issuer, "old_key_used", text)


def withdrawn_findings(
    issuer: str, keys: list[PublishedKey], memory: KeyMemory, unknown: Mapping[str, list[int]], now_s: float
) -> Iterator[RoutineFinding]:
    """Yield kids that are published no longer, of which tokens came in the last days.

    Args:
        issuer: The issuer.
        keys: What it publishes now.
        memory: What was seen before.
        unknown: Kids of tokens that no key had -> [count, first, last].
        now_s: Seconds since the epoch.
    """
    there = {key.thumbprint for key in keys}
    kids = {key.kid for key in keys}
    for mark, seen in memory.seen.get(issuer, {}).items():
        count = unknown.get(safe_name(str(seen.kid)))
        if mark in there or seen.kid is None or seen.kid in kids or count is None:
            continue
        if count[2] > seen.last_s and now_s - count[2] < _CERTAIN_S:
            last = days(now_s - count[2])
            text = f"kid {seen.kid!r} is withdrawn, and {count[0]} tokens of it came, the last {last} ago"
            yield _finding("warning", "use", issuer, "withdrawn_key_used", text)


def _finding(level: Level, area: str, subject: str, code: str, text: str) -> RoutineFinding:
    return RoutineFinding(level=level, area=area, subject=subject, code=code, text=text)


def sums_of(tables: Iterable[Mapping[str, list[int]]]) -> dict[str, list[int]]:
    """Return name -> [count, first, last] over several tables of names."""
    found: dict[str, list[int]] = {}
    for table in tables:
        for name, (count, first_s, last_s) in table.items():
            known = found.setdefault(name, [0, first_s, last_s])
            found[name] = [known[0] + count, min(known[1], first_s), max(known[2], last_s)]
    return found

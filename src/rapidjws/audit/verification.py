"""The verification of a trail years later: its tree, then each token again under the keys of its time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked
from rapidjws.audit.objects import OBJECTS, object_path, read_object
from rapidjws.audit.records import DECISION, GAP, digest, parsed_record
from rapidjws.audit.side_content import unpacked
from rapidjws.audit.stored_policy import engine_of
from rapidjws.audit.tile_files import CONTENT, tile_path
from rapidjws.audit.trail_reader import TrailReader
from rapidjws.audit.tree_check import Finding
from rapidjws.errors import CODES, RapidJWSError, error_for
from rapidjws.jwt.decision import OK
from rapidjws.verify.result import VerifiedJWS

if TYPE_CHECKING:
    from rapidjws.jwt.engine import Engine

WIDTH: Final = 256
SECOND_US: Final = 1_000_000
WRITTEN_WITHIN_US: Final = 50_000
"""How much later than its decision a record may be made."""

MISSING: Final = "missing"
STATEFUL: Final = frozenset({"policy", "unavailable", "configuration"})
"""Reasons that no token alone gives: replay, revocation, scopes of a route, an outage."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records a verification looks at again.

    Args:
        since_us: From this moment on, microseconds since the epoch.
        until_us: Before this moment.
        issuer: Of this issuer.
        partner: Of this partner.
    """

    since_us: int | None = None
    until_us: int | None = None
    issuer: str | None = None
    partner: str | None = None

    @checked
    def takes(self, record: dict[str, Any]) -> bool:
        """Say whether a record is one of them."""
        time_us = record.get("time_us", 0)
        return not (
            (self.since_us is not None and time_us < self.since_us)
            or (self.until_us is not None and time_us >= self.until_us)
            or (self.issuer is not None and record.get("issuer") != self.issuer)
            or (self.partner is not None and record.get("partner") != self.partner)
        )


@checked
@dataclass(slots=True, kw_only=True)
class VerificationReport:
    """What a verification found.

    Attributes:
        origin: The log.
        size: The number of records.
        root: The root that is signed, in hexadecimal.
        records: How many were looked at.
        agreed: How many tokens gave the same verdict again.
        not_verified_again: Why others were not looked at again -> how many.
        lost: How many decisions gap records stand for.
        findings: What is not as it was signed or decided.
    """

    origin: str
    size: int
    root: str
    records: int = 0
    agreed: int = 0
    not_verified_again: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Return whether nothing is altered, missing or judged otherwise."""
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "origin": self.origin,
            "size": self.size,
            "root": self.root,
            "good": self.is_good,
            "records": self.records,
            "agreed": self.agreed,
            "not_verified_again": dict(self.not_verified_again),
            "lost": self.lost,
            "findings": [one.as_dict() for one in self.findings],
        }


class Verification:
    """A verification of a trail.

    Args:
        reader: The trail.
        wanted: Which records are looked at again; the tree is checked whole.
    """

    @checked
    def __init__(self, reader: TrailReader, wanted: Wanted | None = None) -> None:
        self._reader = reader
        self._wanted = wanted or Wanted()
        root = reader.checkpoint.root.hex()
        self.report = VerificationReport(origin=reader.checkpoint.origin, size=reader.size, root=root)
        self._engines: dict[tuple[str, str], Engine | None] = {}
        self._bad_objects: set[str] = set()
        self._last_us = 0

    def run(self) -> VerificationReport:
        """Check the tree, and verify each token that is stored again."""
        self.report.findings += self._reader.check_tree(self._bundle)
        return self.report

    def _find(self, code: str, place: str, record: int | None = None, **more: str | None) -> None:
        self.report.findings.append(Finding(code=code, place=place, record=record, **more))

    # --- one bundle --------------------------------------------------------------------------------------

    def _bundle(self, first: int, entries: list[bytes]) -> None:
        """Verify the tokens of a bundle again, those of one policy and one second together."""
        index = first // WIDTH
        place = tile_path(CONTENT, index, min(WIDTH, self._reader.size - first))
        try:
            contents = self._reader.contents(index)
        except RapidJWSError as fault:
            self._find("content_altered", str(fault.place), first, cause="the file of contents")
            contents = [b""] * len(entries)
        groups: dict[tuple[str, str, int], list[tuple[int, dict[str, Any], bytes]]] = {}
        for at, entry in enumerate(entries):
            record = self._record(first + at, entry)
            if record is None or not self._wanted.takes(record):
                continue
            self.report.records += 1
            offset = sum(4 + len(one) for one in contents[:at]) if contents[at] else 0
            token = self._token(record, contents[at], first + at, f"{place}:{offset}")
            if token is not None:
                key = (record["policy"], record["generation"], record["time_us"] // SECOND_US)
                groups.setdefault(key, []).append((first + at, record, token))
        for (policy, generation, _), rows in groups.items():
            engine = self._engine(policy, generation, rows[0][0])
            if engine is None:
                self.report.not_verified_again["keys or policy not stored"] += len(rows)
            else:
                self._again(engine, rows)

    def _record(self, index: int, entry: bytes) -> dict[str, Any] | None:
        """Return a decision's record; count gaps, and name entries that are none and clocks that ran back."""
        try:
            record = parsed_record(entry, f"record {index}")
        except RapidJWSError as fault:
            self._find("record_altered", str(fault.place), index, cause="not a record in canonical form")
            return None
        if record.get("kind") == GAP:
            self.report.lost += record["lost"]
            self.report.not_verified_again["gap"] += 1
            return None
        if record.get("kind") != DECISION:
            self.report.not_verified_again["another kind of record"] += 1
            return None
        if record["time_us"] < self._last_us - SECOND_US:
            self.report.not_verified_again["clock stepped back (noted only)"] += 1
        self._last_us = record["time_us"]
        return record

    def _token(self, record: dict[str, Any], content: bytes, index: int, place: str) -> bytes | None:
        """Return the token of a record, where it is stored and as it was."""
        try:
            parts = unpacked(content, place)
        except RapidJWSError:
            self._find("content_altered", place, index, cause="the stored content")
            return None
        for name in ("token", "claims"):
            if name in parts and digest(parts[name]) != record.get(name):
                self._find(f"{name}_altered", place, index, expected=str(record.get(name)),
                           actual=digest(parts[name]), cause=f"the stored {name}")  # fmt: skip
                return None
        token = parts.get("token")
        if record.get("token") is None:
            self.report.not_verified_again["no token in the request"] += 1
        elif token is None:
            self.report.not_verified_again["token not stored"] += 1
        elif record["code"] in CODES and CODES[record["code"]].reason in STATEFUL:
            self.report.not_verified_again[f"{record['code']}: rests on more than the token"] += 1
        else:
            return token
        return None

    # --- keys and policies -------------------------------------------------------------------------------

    def _engine(self, policy: str, generation: str, index: int) -> Engine | None:
        name = (policy, generation)
        if name not in self._engines:
            try:
                rules, table = self._object(policy, "policy"), self._object(generation, "key table")
                self._engines[name] = engine_of(rules, table, lambda one: self._object(one, "key"))
            except RapidJWSError as fault:
                self._engines[name] = None
                if str(fault.place).startswith(f"{OBJECTS}/"):
                    kind = str(fault.expected)
                    code = "key_altered" if kind == "key" else "policy_altered"
                    code = "content_missing" if fault.actual == MISSING else code
                    self._find(code, str(fault.place), index, cause=f"the stored {kind}")
        return self._engines[name]

    def _object(self, name: str, kind: str) -> bytes:
        try:
            octets = read_object(self._reader.folder, name)
        except RapidJWSError as fault:
            fault.expected = kind
            raise
        if octets is None:
            raise error_for("audit_trail_invalid", f"{object_path(name)}:0", kind, MISSING)
        return octets

    # --- verdicts ----------------------------------------------------------------------------------------

    def _again(self, engine: Engine, rows: list[tuple[int, dict[str, Any], bytes]]) -> None:
        """Verify tokens of one second again; those near the end of their time, or refused, one by one."""
        start_us = rows[0][1]["time_us"] // SECOND_US * SECOND_US
        results = engine.verify_many([token for _, _, token in rows], now=start_us / SECOND_US)
        for (index, record, token), found in zip(rows, results, strict=True):
            code = OK
            if not isinstance(found, VerifiedJWS) or self._is_near(found, start_us):
                alone, code = self._alone(engine, token, record)
                found = found if alone is None else alone
            if code != record["code"]:
                self._differs(record, index, code)
            elif isinstance(found, VerifiedJWS) and record["key"] not in (None, found.key_thumbprint):
                self._find("verdict_differs", f"record {index}", index, expected=str(record["key"]),
                           actual=found.key_thumbprint, cause="another key verifies")  # fmt: skip
            else:
                self.report.agreed += 1

    @staticmethod
    def _alone(engine: Engine, token: bytes, record: dict[str, Any]) -> tuple[VerifiedJWS | None, str]:
        """Verify one token at the moment of its record, or at that of its decision a little before."""
        code = ""
        for before_us in (0, WRITTEN_WITHIN_US):
            try:
                return engine.verify(token, (record["time_us"] - before_us) / SECOND_US), OK
            except RapidJWSError as refused:
                code = refused.code
                if code == record["code"]:
                    break
        return None, code

    @staticmethod
    def _is_near(found: VerifiedJWS, start_us: int) -> bool:
        """Say whether a claim's time lies so near that a second may matter: a day, whatever the leeway."""
        if found.issuer is None:
            return False
        start_s = start_us // SECOND_US
        times = (found.claims.get(name) for name in ("exp", "nbf", "iat", "auth_time"))
        return any(not isinstance(one, int) or abs(one - start_s) < 2 for one in times if one is not None)

    def _differs(self, record: dict[str, Any], index: int, code: str) -> None:
        """Name a verdict that is another one now, unless a partner's rules alone made it."""
        if code == OK and record["partner"] is not None and record["code"] != OK:
            self.report.not_verified_again["refused by the partner's own rules"] += 1
            return
        from rapidjws._version import __version__

        engine = record["engine"]
        cause = (
            "the engine judges otherwise: see Verification outcomes in the CHANGELOG"
            if engine != __version__
            else "the token, its key or its policy is not what was decided on"
        )
        self._find("verdict_differs", f"record {index}", index, expected=record["code"], actual=code,
                   cause=f"{cause} (recorded by {engine})")  # fmt: skip

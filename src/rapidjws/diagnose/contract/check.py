"""Check a partner's folder: its tokens with our engine, its verdicts on ours, its keys, the checklist."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapidjws.diagnose.contract.checklist import Item, engine_for, verdict_on, walk
from rapidjws.diagnose.contract.fetch import Fetch, fetch
from rapidjws.diagnose.contract.http_lint import lint_address
from rapidjws.diagnose.contract.kit import Contract, load, read_json, read_octets
from rapidjws.diagnose.face import diagnose
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.jose.lint import Finding, lint_jwks

GROUPS = ("theirs", "ours", "keys", "checklist")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractReport:
    """What a check found.

    Attributes:
        partner: The partner's name.
        checked_at: Seconds since the epoch.
        items: Every line, group by group.
    """

    partner: str
    checked_at: int
    items: tuple[Item, ...]

    def count(self, status: str) -> int:
        """Return how many items have a status."""
        return sum(item.status == status for item in self.items)

    @property
    def is_ready(self) -> bool:
        """Return whether nothing failed and nothing is open."""
        return self.count("pass") == len(self.items)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values: the payload of the signed report."""
        return {
            "partner": self.partner,
            "checked_at": self.checked_at,
            "ready": self.is_ready,
            "passed": self.count("pass"),
            "failed": self.count("fail"),
            "open": self.count("open"),
            "items": [item.as_dict() for item in self.items],
        }


def check(folder: Path, *, now_s: int | None = None, get: Fetch = fetch) -> ContractReport:
    """Check a partner's folder.

    Args:
        folder: The folder.
        now_s: The time of the check; by default now.
        get: Fetches the partner's key address.

    Returns:
        The report.

    Raises:
        ConfigurationError: ``configuration_invalid``: no contract.
    """
    contract = load(folder)
    moment = int(time.time()) if now_s is None else now_s
    document, items = _keys(folder, contract, get)
    items = [*_theirs(folder, contract, document, moment), *_ours(folder), *items, *walk(contract, moment)]
    return ContractReport(partner=contract.partner, checked_at=moment, items=tuple(items))


def _keys(folder: Path, contract: Contract, get: Fetch) -> tuple[bytes | None, list[Item]]:
    """Return the partner's JWK Set and what its lint found."""
    if contract.jwks_url is not None:
        got = get(contract.jwks_url)
        findings = lint_address(got, contract.publish_before_use_s)
        document = got.body if got.fault is None else None
        source = contract.jwks_url
    else:
        path = folder / "theirs" / "jwks.json"
        document = read_octets(path)
        if document is None:
            return None, [
                _item("keys", "jwks", "The partner's keys", "open", "theirs/jwks.json is not there")
            ]
        findings, source = lint_jwks(document), "theirs/jwks.json"
    errors = [finding for finding in findings if finding.level == "error"]
    items = [_item("keys", "jwks", "The partner's JWK Set is sound", "fail" if errors else "pass",
                   f"{source}: findings {len(findings)}, errors {len(errors)}")]  # fmt: skip
    return document, [*items, *(_finding(number, one) for number, one in enumerate(findings))]


def _item(group: str, name: str, title: str, status: Any, detail: str) -> Item:
    return Item(group=group, name=name, title=title, status=status, detail=detail)


def _finding(number: int, finding: Finding) -> Item:
    """Return a lint finding as an item: only errors fail."""
    status = "fail" if finding.level == "error" else "pass"
    title = f"{finding.level}: {finding.code}"
    return _item("keys", f"{finding.code}-{number}", title, status, f"{finding.place}: {finding.text}")


def _theirs(folder: Path, contract: Contract, document: bytes | None, now_s: int) -> list[Item]:
    """Verify the partner's tokens with our engine."""
    samples = read_json(folder / "theirs" / "samples.json")
    if not isinstance(samples, list) or not samples:
        return [
            _item("theirs", "samples", "The partner's tokens", "open", "theirs/samples.json is not there")
        ]
    if document is None:
        return [
            _item(
                "theirs", "samples", "The partner's tokens", "fail", "there are no keys to verify them with"
            )
        ]
    try:
        keys = JWKSet.from_json(document)
        engine = engine_for(contract, keys, now_s)
    except RapidJWSError as refused:
        return [_item("theirs", "samples", "The partner's tokens", "fail", str(refused))]
    return [_their_sample(engine, sample, number) for number, sample in enumerate(samples)]


def _their_sample(engine: Any, sample: Any, number: int) -> Item:
    """Verify one token of the partner."""
    if not isinstance(sample, dict) or sample.get("expect") not in ("accepted", "refused"):
        return _item(
            "theirs", f"sample-{number}", "A sample", "fail", "not an object with name, token, expect"
        )
    name, token = str(sample.get("name", number))[:60], str(sample.get("token", ""))
    at = sample.get("check_at")
    moment = float(at) if isinstance(at, (int, float)) and not isinstance(at, bool) else None
    verdict, code = verdict_on(engine, token, moment)
    detail = f"{verdict}{f' ({code})' if code else ''}, they expect {sample['expect']}"
    good = verdict == sample["expect"]
    if not good and verdict == "refused":
        cause = diagnose(token, engine, now=moment).probable_cause
        detail += "" if cause is None else f". {cause.title} {cause.fix}"
    return _item("theirs", name, f"Their token {name!r}", "pass" if good else "fail", detail)


def _ours(folder: Path) -> list[Item]:
    """Compare the partner's verdicts on our tokens with what is due."""
    samples, verdicts = (
        read_json(folder / "ours" / "samples.json"),
        read_json(folder / "theirs" / "verdicts.json"),
    )
    if not isinstance(samples, list):
        return [_item("ours", "samples", "Our tokens", "open", "run 'rapidjws contract send'")]
    if not isinstance(verdicts, dict):
        return [_item("ours", "verdicts", "Their verdicts", "open", "theirs/verdicts.json is not there")]
    items = []
    for sample in samples:
        name, due = sample["name"], sample["expect"]
        said = verdicts.get(name)
        status = "open" if said is None else "pass" if said == due else "fail"
        detail = f"{said or 'no verdict'}, due is {due}: {sample['why']}"
        items.append(_item("ours", name, f"Our token {name!r} there", status, detail))
    return items

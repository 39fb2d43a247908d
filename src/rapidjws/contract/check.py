"""A partner's folder checked: its tokens with our engine, its verdicts on ours, its keys, the checklist."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapidjws import escaping
from rapidjws.contract.checklist import Item, engine_for, verdict_on, walk
from rapidjws.contract.fetch import Fetch, fetch
from rapidjws.contract.http_lint import lint_address
from rapidjws.contract.kit import Contract, load, samples_are_ours
from rapidjws.contract.schema import FAULTS_SHOWN, FileFault, read_octets, read_value, samples_in, verdicts_in
from rapidjws.diagnose.face import diagnose
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.jose.lint import Finding, lint_jwks

GROUPS = ("theirs", "ours", "keys", "checklist")
LINE_MAX_CHARS = 400
"""Longest title or detail of a line of a report, in characters."""


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
    changed = [] if samples_are_ours(folder) else [_changed()]
    document, items = _keys(folder, contract, get)
    theirs = _theirs(folder, contract, document, moment)
    items = [*theirs, *changed, *_ours(folder), *items, *walk(contract, moment)]
    return ContractReport(partner=contract.partner, checked_at=moment, items=tuple(items))


def _keys(folder: Path, contract: Contract, get: Fetch) -> tuple[bytes | None, list[Item]]:
    """Return the partner's JWK Set and what its lint found."""
    if contract.jwks_url is not None:
        got = get(contract.jwks_url)
        findings = lint_address(got, contract.publish_before_use_s)
        document = got.body if got.fault is None else None
        source = contract.jwks_url
    else:
        document, fault = read_octets(folder / "theirs" / "jwks.json")
        if fault is not None:
            return None, [_item("keys", "jwks", "The partner's keys", "fail", f"theirs/jwks.json {fault}")]
        if document is None:
            return None, [
                _item("keys", "jwks", "The partner's keys", "open", "theirs/jwks.json is not there")
            ]
        findings, source = lint_jwks(document), "theirs/jwks.json"
    errors = [finding for finding in findings if finding.level == "error"]
    items = [_item("keys", "jwks", "The partner's JWK Set is sound", "fail" if errors else "pass",
                   f"{source}: findings {len(findings)}, errors {len(errors)}")]  # fmt: skip
    return document, [*items, *(_finding(number, one) for number, one in enumerate(findings))]


def _changed() -> Item:
    text = "ours/samples.json is not what 'rapidjws contract send' wrote: send again, compare with the old"
    return _item("ours", "samples-changed", "Our samples came back unchanged", "fail", text)


def _faults(group: str, faults: list[FileFault]) -> list[Item]:
    """Return each fault of a file as a line."""
    shown = faults[:FAULTS_SHOWN]
    if len(faults) > len(shown):
        shown.append(FileFault(place=faults[0].place, text=f"and {len(faults) - len(shown)} more faults"))
    return [
        _item(group, f"file-{number}", f"{fault.place} is as agreed", "fail", f"{fault.place}: {fault.text}")
        for number, fault in enumerate(shown)
    ]


def _item(group: str, name: str, title: str, status: Any, detail: str) -> Item:
    texts = (escaping.printable(text, LINE_MAX_CHARS) for text in (name, title, detail))
    shown_name, shown_title, shown_detail = texts
    return Item(group=group, name=shown_name, title=shown_title, status=status, detail=shown_detail)


def _finding(number: int, finding: Finding) -> Item:
    """Return a lint finding as an item: only errors fail."""
    status = "fail" if finding.level == "error" else "pass"
    title = f"{finding.level}: {finding.code}"
    return _item("keys", f"{finding.code}-{number}", title, status, f"{finding.place}: {finding.text}")


def _theirs(folder: Path, contract: Contract, document: bytes | None, now_s: int) -> list[Item]:
    """Verify the partner's tokens with our engine."""
    name = "theirs/samples.json"
    value, faults = read_value(folder, name)
    if value is None and not faults:
        return [_item("theirs", "samples", "The partner's tokens", "open", f"{name} is not there")]
    samples, more = ([], []) if value is None else samples_in(value, name)
    items = _faults("theirs", [*faults, *more])
    if not samples:
        return items or [_item("theirs", "samples", "The partner's tokens", "open", f"{name} has no sample")]
    if document is None:
        text = "there are no keys to verify them with"
        return [*items, _item("theirs", "samples", "The partner's tokens", "fail", text)]
    try:
        keys = JWKSet.from_json(document)
        engine = engine_for(contract, keys, now_s)
    except RapidJWSError as refused:
        return [*items, _item("theirs", "samples", "The partner's tokens", "fail", str(refused))]
    return [*items, *(_their_sample(engine, sample) for sample in samples)]


def _their_sample(engine: Any, sample: dict[str, Any]) -> Item:
    """Verify one token of the partner."""
    name, token, at = sample["name"], sample["token"], sample.get("check_at")
    moment = None if at is None else float(at)
    verdict, code = verdict_on(engine, token, moment)
    detail = f"{verdict}{f' ({code})' if code else ''}, they expect {sample['expect']}"
    good = verdict == sample["expect"]
    if not good and verdict == "refused":
        cause = diagnose(token, engine, now=moment).probable_cause
        detail += "" if cause is None else f". {cause.title} {cause.fix}"
    return _item("theirs", name, f"Their token {name!r}", "pass" if good else "fail", detail)


def _ours(folder: Path) -> list[Item]:
    """Compare the partner's verdicts on our tokens with what is due."""
    value, faults = read_value(folder, "ours/samples.json")
    if value is None and not faults:
        return [_item("ours", "samples", "Our tokens", "open", "run 'rapidjws contract send'")]
    samples, more = ([], []) if value is None else samples_in(value, "ours/samples.json")
    stated, wrong = read_value(folder, "theirs/verdicts.json")
    verdicts, bad = ({}, []) if stated is None else verdicts_in(stated, "theirs/verdicts.json")
    items = _faults("ours", [*faults, *more, *wrong, *bad])
    if stated is None and not wrong:
        return [
            *items,
            _item("ours", "verdicts", "Their verdicts", "open", "theirs/verdicts.json is not there"),
        ]
    for sample in samples:
        name, due = sample["name"], sample["expect"]
        verdict = verdicts.get(name)
        status = "open" if verdict is None else "pass" if verdict == due else "fail"
        detail = f"{verdict or 'no verdict'}, due is {due}: {sample.get('why', '')}"
        items.append(_item("ours", name, f"Our token {name!r} there", status, detail))
    return items

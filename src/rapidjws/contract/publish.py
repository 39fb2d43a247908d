"""A contract report on paper: JSON, Markdown, HTML, and a JWS over the JSON by our own signer."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rapidjws import _files, escaping
from rapidjws.contract.check import GROUPS
from rapidjws.contract.kit import private_key
from rapidjws.signing import LocalSigner, sign_compact

if TYPE_CHECKING:
    from rapidjws.contract.check import ContractReport

TITLES: Final = {
    "theirs": "Their tokens, verified by us",
    "ours": "Our tokens, verified by them",
    "keys": "Their keys",
    "checklist": "Production checklist",
}
MARKS: Final = {"pass": "✓", "fail": "✗", "open": "○"}
TYP: Final = "contract-report+jws"


def publish(folder: Path, report: ContractReport) -> tuple[str, ...]:
    """Write report.json, report.md, report.html and report.jws into a partner's folder.

    Returns:
        The names written. ``report.jws`` signs the very octets of ``report.json``; its public key is
        ``report_key.json``.

    Raises:
        ConfigurationError: ``configuration_invalid``: our report key is not there.
    """
    payload = json.dumps(report.as_dict(), indent=2).encode()
    signer = LocalSigner(private_key(folder, "report"))
    signed = sign_compact(payload, signer, header={"typ": TYP})
    files = {
        "report.json": payload,
        "report.md": to_markdown(report).encode(),
        "report.html": to_html(report, signed).encode(),
        "report.jws": signed.encode() + b"\n",
        "report_key.json": json.dumps({"keys": [signer.public.as_dict()]}, indent=2).encode(),
    }
    for name, octets in files.items():
        _files.replace(folder / name, octets, mode=0o666, sync=False)  # never through a link
    return tuple(files)


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def verdict(report: ContractReport) -> str:
    """Return the outcome in a word."""
    return "ready" if report.is_ready else "not ready" if report.count("fail") else "open points"


def to_markdown(report: ContractReport) -> str:
    """Return the report as Markdown."""
    counts = f"{report.count('pass')} passed, {report.count('fail')} failed, {report.count('open')} open"
    lines = [
        f"# Contract with {escaping.markdown(report.partner)}: {verdict(report)}",
        "",
        f"{_moment(report.checked_at)}; {counts}.",
        "",
    ]
    for group in GROUPS:
        items = [item for item in report.items if item.group == group]
        lines += [f"## {TITLES[group]}", "", "| | | |", "| --- | --- | --- |"]
        lines += [
            f"| {MARKS[item.status]} | {escaping.markdown(item.title)} | {escaping.markdown(item.detail)} |"
            for item in items
        ]
        lines.append("")
    return "\n".join(lines)


_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
body{color:#1c2430;background:#fff}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.badge{display:inline-block;padding:.15rem .7rem;border-radius:1rem;color:#fff;font-size:1rem}
.ready{background:#19753b}.not{background:#b3261e}.points{background:#8a5a00}
table{border-collapse:collapse;width:100%}
td{border-top:1px solid #dfe3e8;padding:.35rem .6rem;vertical-align:top}
td:first-child{width:1.5rem;text-align:center;font-weight:700}td:nth-child(2){width:24rem}
h1,td:nth-child(3){overflow-wrap:anywhere}
.pass td:first-child{color:#19753b}.fail td:first-child{color:#b3261e}.open td:first-child{color:#8a5a00}
.fail{background:#fdf0ef}.open{background:#fdf8ec}footer{margin-top:2rem;color:#5b6572;font-size:.85rem}
code{word-break:break-all;font-size:.8rem}
@media (prefers-color-scheme:dark){body{background:#14181d;color:#dfe5ec}td{border-color:#2d343d}
.fail{background:#33201f}.open{background:#2f2918}.pass td:first-child{color:#5cc98a}
.fail td:first-child{color:#ff8a80}.open td:first-child{color:#e6b450}footer{color:#97a3b0}}
"""


def to_html(report: ContractReport, signed: str) -> str:
    """Return the report as one HTML page without any reference to elsewhere."""
    kind = {"ready": "ready", "not ready": "not", "open points": "points"}[verdict(report)]
    counts = f"{report.count('pass')} passed, {report.count('fail')} failed, {report.count('open')} open"
    partner = escaping.html(report.partner)
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Contract: {partner}</title>',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f'<h1>Contract with {partner} <span class="badge {kind}">{verdict(report)}</span></h1>',
        f"<p>{_moment(report.checked_at)}; {counts}.</p>",
    ]
    for group in GROUPS:
        rows = "".join(
            f'<tr class="{item.status}"><td>{MARKS[item.status]}</td><td>{escaping.html(item.title)}</td>'
            f"<td>{escaping.html(item.detail)}</td></tr>"
            for item in report.items
            if item.group == group
        )
        parts.append(f"<h2>{TITLES[group]}</h2><table>{rows}</table>")
    parts.append(
        "<footer>Signed: report.jws holds this report as a JWS over report.json; verify it with "
        "<code>rapidjws verify report.jws --jwks report_key.json --alg ES256</code>. "
        f"The signature starts with <code>{escaping.html(signed.rpartition('.')[2][:12])}</code>.</footer>"
        "</body></html>"
    )
    return "\n".join(parts)

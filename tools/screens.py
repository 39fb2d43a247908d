"""Take the pictures of docs/: a diagnosis and a contract summary on a terminal, and the HTML report.

Needs the extra ``cli`` and chromium. Every token and key is made here and forgotten.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from rapidjws.cli.contract import show
from rapidjws.contract import kit
from rapidjws.contract.check import check
from rapidjws.contract.publish import publish
from rapidjws.contract.samples import Maker, make_samples, send
from rapidjws.diagnose import diagnose
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.testing import FakeIssuer, make_key

DOCS = Path(__file__).resolve().parents[1] / "docs"
COLUMNS = 118


def shoot(page: Path, picture: Path, width: int, height: int) -> None:
    """Render a page with headless chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("no chromium")
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                   "--disable-dev-shm-usage", f"--user-data-dir={profile}", f"--window-size={width},{height}",
                   f"--screenshot={picture}", page.as_uri()]  # fmt: skip
        subprocess.run(command, check=True, timeout=180, capture_output=True)


def terminal(console: Console, name: str, folder: Path) -> None:
    """Turn what a console recorded into a picture."""
    svg = console.export_svg(title="rapidjws")
    box = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg)
    assert box is not None
    width, height = (round(float(side)) for side in box.groups())
    page = folder / f"{name}.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body style='margin:0'>{svg}", "utf-8")
    shoot(page, DOCS / f"{name}.png", width, height)


def recorder() -> Console:
    """Return a console that records in colour."""
    return Console(
        record=True, width=COLUMNS, force_terminal=True, color_system="truecolor", file=io.StringIO()
    )


def der_token() -> tuple[str, Engine]:
    """Return a token whose signature a library wrote in DER, and the engine that refuses it."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    from rapidjws import _native

    issuer = FakeIssuer("https://bank.example", "ES256", audience="https://api.example")
    head, body, last = issuer.token(issuer.claims(int(time.time()))).split(".")
    raw = _native.b64url_decode(last.encode()) or b""
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    keys = JWKSet.from_json(issuer.jwks.as_dict())
    rules = Issuer(issuer.iss, keys=keys, algorithms=["ES256"], audience="https://api.example")
    return f"{head}.{body}.{_native.b64url_encode(der).decode()}", Engine(rules)


def partner(folder: Path) -> None:
    """Fill a folder as a partner does that is nearly ready: one false verdict, one point not attested."""
    agreed = kit.Contract(
        partner="acme", our_iss="https://us.example", our_audience="acme", their_iss="https://acme.example",
        their_audience="us", attested={"audit_reverified": "R. Example", "alerts_configured": "R. Example"},
    )  # fmt: skip
    kit.init(folder, agreed)
    samples = send(folder)
    verdicts = {one.name: one.expect for one in samples}
    kit.write_json(folder / "theirs" / "verdicts.json", {**verdicts, "padded": "accepted"})
    key = make_key("ES256", kid="acme-1")
    theirs = replace(agreed, leeway_s=60)
    maker = Maker(
        key, "ES256", theirs, int(time.time()), iss=agreed.their_iss, audience=agreed.their_audience
    )
    names = ("valid", "expired", "tampered", "unsecured")
    kit.write_json(
        folder / "theirs" / "samples.json",
        [one.as_dict() for one in make_samples(maker) if one.name in names],
    )
    (folder / "theirs" / "jwks.json").write_text(json.dumps({"keys": [key.public().as_dict()]}), "utf-8")


def main() -> None:
    """Take every picture."""
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        console = recorder()
        token, engine = der_token()
        diagnose(token, engine).to_terminal(console)
        terminal(console, "diagnose-terminal", folder)
        partner(folder / "acme")
        report = check(folder / "acme")
        publish(folder / "acme", report)
        console = recorder()
        show(report, console)
        terminal(console, "contract-terminal", folder)
        shoot(folder / "acme" / "report.html", DOCS / "contract-report.png", 1100, 1960)


if __name__ == "__main__":
    main()

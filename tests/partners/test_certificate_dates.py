"""``rapidjws check`` names certificates that end, whatever the key source brings them by."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from certified import CertifiedKey
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.testing.web import TestServer


def test_dates_of_certificates_are_read_whatever_the_source(tmp_path: Path) -> None:
    """A certificate that ends soon is named in a folder, in one file of DER, and in a map behind a URL."""
    soon, later = CertifiedKey(days=(-1, 5)), CertifiedKey(days=(-1, 300))
    (tmp_path / "pem").mkdir()
    for name, key in (("soon", soon), ("later", later)):
        (tmp_path / "pem" / f"{name}.pem").write_text(key.pem)
    (tmp_path / "pem" / "plain.pub").write_text(later.public_pem)
    (tmp_path / "one.der").write_bytes(soon.der)
    rules = {"algorithms": ["ES256"], "check_audience": False}
    page = json.dumps({"soon": soon.pem, "later": later.pem}).encode()
    with closing(TestServer(lambda: (page, {}))) as server:
        (tmp_path / "ca.pem").write_text(server.ca_pem)
        tables = [
            {"iss": "https://folder.example", "pem_path": "pem", **rules},
            {"iss": "https://der.example", "pem_path": "one.der", **rules},
            {"iss": "https://map.example", "certificates_url": server.url, "ca": "ca.pem", **rules},
        ]
        path = tmp_path / "c.json"
        path.write_text(json.dumps({"issuers": tables}))
        arguments = ["check", "--config", str(path), "--memory", str(tmp_path / "m.json"), "--json"]
        result = CliRunner().invoke(app, arguments)
    findings = json.loads(result.output)["findings"]
    found = [(one["subject"], one["code"]) for one in findings if one["level"] != "note"]
    assert result.exit_code == 1
    assert sorted(found) == [(f"https://{name}.example", "key_expires") for name in ("der", "folder", "map")]

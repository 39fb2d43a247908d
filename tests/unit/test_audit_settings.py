"""The section ``[audit]`` as an operator gets it wrong: each setting is named."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.testing import make_key


def test_L_a_section_without_its_settings_names_each(tmp_path: Path) -> None:
    """`config check` names each setting that `[audit]` lacks, and a folder that is none."""
    keys = {"keys": [make_key("ES256", kid="k").public().as_dict()]}
    (tmp_path / "jwks.json").write_text(json.dumps(keys))
    issuer = {"iss": "https://a.example", "algorithms": ["ES256"], "audience": "me", "jwks_file": "jwks.json"}
    config = tmp_path / "c.json"
    found = []
    for audit in (
        {"folder": "trail"},
        {"folder": "", "origin": "a.example/x", "key_file": "k.json"},
        {"folder": "trail", "origin": "a.example/x"},
    ):
        config.write_text(json.dumps({"issuers": [issuer], "audit": audit}))
        found.append(CliRunner().invoke(app, ["config", "check", str(config)]).output)
    assert "audit.origin: a value expected, found none" in found[0]
    assert "audit.key_file: a value expected, found none" in found[2]
    assert "audit.folder: a folder of the trail's own expected, found none" in found[1]

"""Tables built before the fork: of keys in files and kept sets, within the budget and the time."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
import tokens

from rapidjws import _native
from rapidjws.config.read import load_config
from rapidjws.keys import last_good
from rapidjws.sidecar.shared_tables import build_shared_tables
from rapidjws.verify.table_sizes import table_bytes

SIZES = table_bytes(_native.ALG_NUMBERS["ES256"])
P256_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
URL = "https://issuer.example/jwks"

pytestmark = pytest.mark.skipif(not SIZES, reason="no tables on this platform")


def jwks_of(*names: str) -> str:
    """Return a JWK Set with public keys of these names."""
    return json.dumps({"keys": [tokens.public("ES256", name).as_dict() for name in names]})


def built(
    folder: Path, issuer: dict[str, Any], engine: dict[str, Any] | None = None, **bound: float
) -> list[Any]:
    """Return the kids of the keys whose tables a start builds."""
    tables = {
        "issuers": [{"iss": tokens.ISS, "algorithms": ["ES256"], "audience": tokens.AUD, **issuer}],
        "engine": engine or {},
    }
    path = folder / "c.json"
    path.write_text(json.dumps(tables))
    return [
        key.jwk.kid for key in build_shared_tables(load_config(path), **{"build_s": 60.0, **bound}).tables
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with key files and a kept set."""
    (tmp_path / "keys.json").write_text(jwks_of("k1", "k2"))
    (tmp_path / "bad.json").write_text("{")
    der = P256_SPKI + tokens.public("ES256", "n0").material[0]
    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----\n"
    (tmp_path / "key.pem").write_text(pem)
    for name, age_s in (("kept.json", 60.0), ("old.json", 90_000.0)):
        kept = last_good.LastGood(jwks_of("n1").encode(), None, time.time() - age_s)
        last_good.write(tmp_path / name, URL, kept)
    return tmp_path


def test_keys_of_files_and_kept_sets_have_tables(folder: Path) -> None:
    """A JWK Set, PEM and a kept set give their keys before the fork."""
    assert built(folder, {"jwks_file": "keys.json"}) == ["k1-es256", "k2-es256"]
    assert len(built(folder, {"pem_path": "key.pem"})) == 1
    assert built(folder, {"jwks_url": URL, "last_good_file": "kept.json"}) == ["n1-es256"]


@pytest.mark.parametrize(
    ("issuer", "engine"),
    [
        ({"jwks_url": URL}, {}),
        ({"jwks_url": URL, "last_good_file": "old.json"}, {}),
        ({"jwks_url": URL + "2", "last_good_file": "kept.json"}, {}),
        ({"jwks_file": "bad.json"}, {}),
        ({"jwks_file": "none.json"}, {}),
        ({"jwks_file": "keys.json", "algorithms": ["RS256"]}, {}),
        ({"jwks_file": "keys.json"}, {"acceleration": "openssl"}),
        ({"jwks_file": "keys.json"}, {"precompute_threshold": 0}),
        ({"jwks_file": "keys.json"}, {"precompute_budget_bytes": 0}),
    ],
)
def test_nothing_is_built_where_nothing_is_known_or_wanted(
    issuer: dict[str, Any], engine: dict[str, Any], folder: Path
) -> None:
    """Keys behind a URL, old and foreign kept sets, files that cannot be read, and engines without tables."""
    assert built(folder, issuer, engine) == []


def test_a_start_builds_within_the_budget_and_the_time(folder: Path) -> None:
    """What does not fit the budget gets a smaller table or none, and what takes too long is left."""
    one = {"precompute_budget_bytes": SIZES[-1]}
    assert built(folder, {"jwks_file": "keys.json"}, one) == ["k1-es256"]
    assert built(folder, {"jwks_file": "keys.json"}, build_s=0.0) == []

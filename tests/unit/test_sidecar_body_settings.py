"""The settings of ``[server.body]``: what does not go together is refused, and each reaches its part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rapidjws import ConfigurationError, Engine, Issuer, JWKSet
from rapidjws.sidecar.body_settings import BodySettings, body_settings_from
from rapidjws.sidecar.settings import ServerSettings
from rapidjws.stores.replay import MemoryReplayStore
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="issuer-1")
ISSUER = "https://issuer.example"


@pytest.fixture(name="keys")
def _keys(tmp_path: Path) -> Path:
    path = tmp_path / "senders.json"
    path.write_text(json.dumps({"keys": [KEY.public().as_dict()]}))
    return path


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ({"member": "/a", "form_field": "a"}, "form_field"),
        ({"member": "/a", "signature_headers": "x-a"}, "signature_headers"),
        ({"scheme": "JWS"}, "scheme"),
        ({"digest_claim": "/a"}, "digest_claim"),
        ({"signature_headers": "x-a", "digest_claim": "/a", "payload": "sig_d"}, "payload"),
        ({"signature_headers": "x-a"}, "jwks_file"),
        ({"jwks_url": "https://a.example/k", "algorithms": "ES256"}, "cache_file"),
        ({"jwks_file": "a"}, "algorithms"),
        ({"jwks_file": "a", "jwks_url": "https://a.example", "algorithms": "ES256"}, "jwks_url"),
        ({"replay_keep_s": 5}, "replay_keep_s"),
        ({"nonce_member": "/n"}, "nonce_member"),
        ({"nonce_required": False}, "nonce_required"),
        ({"nonce_secrets_file": "a", "nonce_place": "body"}, "nonce_place"),
        ({"nonce_secrets_file": "a", "nonce_lifetime_s": 9}, "nonce_lifetime_s"),
        ({"unsigned": "pass"}, "unsigned"),
        ({"member": "/a", "required_headers": "x-a"}, "required_headers"),
        ({"member": "/a", "crit_checks": {"x": 1}}, "crit_checks"),
        ({"jwks_file": "a", "algorithms": "ES256", "crit_optional": "x"}, "crit_optional"),
        (
            {"jwks_file": "a", "algorithms": "ES256", "crit_checks": {"x": 1}, "crit_optional": ["x", "y"]},
            "crit_optional",
        ),
    ],
)
def test_settings_that_nothing_reads_are_refused(section: dict[str, Any], name: str, tmp_path: Path) -> None:
    """What does not go together is an error at construction, with the setting's place."""
    with pytest.raises(ConfigurationError) as refused:
        body_settings_from(section, tmp_path)
    assert refused.value.place == f"server.body.{name}"


def test_settings_reach_the_parts(tmp_path: Path, keys: Path) -> None:
    """Each setting of a digest, a payload and a single use is what the verification goes by."""
    engine = Engine(Issuer(ISSUER, keys=JWKSet.given([KEY.public()]), algorithms=["ES256"]))

    def made(**section: Any) -> Any:
        store = MemoryReplayStore()
        settings = body_settings_from(section, tmp_path)
        return settings.signed_body(engine, rollout=None, store=store, recorder=None, max_bytes=9)

    digest = {"digest_claim": "/a", "digest_algorithm": "sha512", "digest_encoding": "base64"}
    found = made(signature_headers="x-a", scheme="JWS", digest_prefix="p=", **digest)
    assert (found.digest.claim, found.digest.algorithm) == ("/a", "sha512")
    assert (found.digest.encoding, found.digest.prefix) == ("base64", "p=")
    assert (found.scheme, found.max_bytes, found.verifier) == ("JWS", 9, engine)
    of_keys = {"signature_headers": "x-a", "jwks_file": keys.name, "algorithms": ["ES256"]}
    lines = made(payload="request_lines", payload_names_in="names", required_headers="x-b", **of_keys)
    assert (lines.payload_of.names_in, lines.payload_of.required) == ("names", ("x-b",))
    assert made(payload="sig_d", required_headers="x-b", **of_keys).payload_of.required == ("x-b",)
    (tmp_path / "nonces").write_text("s" * 32 + "\n" + "o" * 32)
    how = {"nonce_place": "header", "nonce_member": "/n", "nonce_lifetime_s": 60, "nonce_required": False}
    found = made(nonce_secrets_file="nonces", nonce_on_failure="accept", **how).nonces
    assert (found.secrets, found.place, found.member) == ((b"s" * 32, b"o" * 32), "header", "/n")
    assert (found.lifetime_s, found.required, found.on_failure) == (60, False, "accept")
    (tmp_path / "nonces").write_text("short")
    with pytest.raises(ConfigurationError) as refused:
        body_settings_from({"nonce_secrets_file": "nonces"}, tmp_path).check_files()
    assert refused.value.place == "server.body.nonce_secrets_file"
    once = made(member="/a", replay_identity="/id", replay_keep_s=7, replay_on_failure="accept").replay
    assert (once.identity, once.keep_s, once.on_failure) == ("/id", 7, "accept")


def test_headers_of_the_server_hold_no_signature() -> None:
    """A header that names the route or the partner is none of a signature."""
    body = BodySettings(signature_headers=("X-Partner",), digest_claim="/a")
    with pytest.raises(ConfigurationError) as refused:
        ServerSettings(body=body, partner_header="x-partner")
    assert refused.value.place == "server.body.signature_headers"


def test_one_process_remembers_uses_for_itself(tmp_path: Path) -> None:
    """Several workers without a shared store would each take a body once: refused before the start."""
    from rapidjws.cli.config_check import problems_of
    from rapidjws.sidecar.settings import settings_from

    path = tmp_path / "c.toml"
    text = (
        '[[issuers]]\niss = "https://i.example"\nalgorithms = ["ES256"]\njwks_url = "https://i.example/k"\n'
        '[server]\nworkers = 2\n[server.body]\nmember = "/a"\nreplay_identity = "/jti"\n'
    )
    path.write_text(text)
    (found,) = problems_of(path, lambda table: settings_from(table, tmp_path))
    assert (found.line, found.key) == (6, "server.workers")
    (tmp_path / "nonces").write_text("s" * 32)
    path.write_text(text.replace('replay_identity = "/jti"', 'nonce_secrets_file = "nonces"'))
    (found,) = problems_of(path, lambda table: settings_from(table, tmp_path))
    assert (found.line, found.key) == (6, "server.workers")
    path.write_text(text.replace("workers = 2", "workers = 1"))
    assert problems_of(path, lambda table: settings_from(table, tmp_path)) == []


def test_a_section_in_quotes_is_refused(tmp_path: Path) -> None:
    """``["server.body"]`` is another table than ``[server.body]``."""
    from rapidjws.config.read import load_config

    path = tmp_path / "c.toml"
    path.write_text('["server.body"]\nmember = "/a"\n')
    with pytest.raises(ConfigurationError, match=r"c\.toml"):
        load_config(path)

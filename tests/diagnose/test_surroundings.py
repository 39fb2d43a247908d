"""Diagnosis of engines whose keys come from an address, and of tokens that revocation or replay refuse."""

from __future__ import annotations

import json

import pytest
from broken_world import AUD, BANK, bank_keys, claims, header, key, token

from rapidjws.diagnose import diagnose
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.jwt.replay_rule import Replay
from rapidjws.keys import Answer, FetchFailed, RemoteJWKS
from rapidjws.stores.replay import MemoryReplayStore

URL = "https://bank.example/jwks.json"
NOW = 1_800_000_000


class Web:
    """A server of a key set, or of a fault, as the test says."""

    def __init__(self, *keys: object) -> None:
        self.published = list(keys)
        self.fault: str | None = None

    def __call__(self, url: str, etag: str | None) -> Answer:
        """Return the set, or fail."""
        if self.fault is not None:
            raise FetchFailed(self.fault)
        body = json.dumps({"keys": [one.public().as_dict() for one in self.published]})
        return Answer(status=200, headers={}, body=body.encode())


def engine_on(source: RemoteJWKS) -> Engine:
    """Return an engine whose bank is at an address."""
    return Engine(Issuer(BANK, keys=source, algorithms=["ES256"], audience=AUD))


def test_keys_never_fetched() -> None:
    """Without any fetch that worked, the address and its fault are the cause, and nothing is denied."""
    web = Web()
    web.fault = "tls"
    source = RemoteJWKS(URL, fetch=web)
    engine = engine_on(source)
    source.refresh(20.0)
    report = diagnose(token(), engine, now=NOW)
    assert report.outcome == "indeterminate"
    assert report.probable_cause is not None
    assert report.probable_cause.id == "keys_not_fetched"
    assert "tls" in report.probable_cause.evidence
    assert not report.escalate_to_partner


def test_refresh_fails() -> None:
    """An unknown kid while refreshes fail is blamed on the refreshes."""
    web = Web(key("ES256"))
    source = RemoteJWKS(URL, fetch=web)
    engine = engine_on(source)
    assert source.ready or source.refresh(20.0)
    web.fault = "timeout"
    source.refresh(20.0)
    report = diagnose(token(head=header("ES256", "next"), jwk=key("ES256", "next")), engine, now=NOW)
    assert report.code == "unknown_kid"
    assert report.probable_cause is not None
    assert report.probable_cause.id == "keys_not_refreshed"
    assert any(check.name == "cache_age" for check in report.checks)
    assert diagnose(token(), engine, now=NOW).accepted


def test_diagnosis_uses_no_token_up() -> None:
    """A token that may be used once can still be used after any number of diagnoses."""
    replay = Replay(store=MemoryReplayStore())
    bank = Issuer(BANK, keys=JWKSet(bank_keys()), algorithms=["ES256"], audience=AUD, replay=replay)
    engine = Engine(bank)
    made = token(payload=claims(jti="once"))
    for _ in range(3):
        assert diagnose(f"{made}\n", engine, now=NOW).code == "malformed_base64url"
        assert diagnose(made, engine, now=NOW).accepted
    engine.verify(made, NOW)
    with pytest.raises(RapidJWSError) as refused:
        engine.verify(made, NOW)
    assert refused.value.code == "replayed"
    assert diagnose(token(), engine, now=NOW).code == "missing_claim"


def test_revoked_token() -> None:
    """A revoked token is reported as such, with the engine's code."""
    engine = Engine(Issuer(BANK, keys=JWKSet(bank_keys()), algorithms=["ES256"], audience=AUD))
    engine.revoke(issuer=BANK, jti="gone")
    report = diagnose(token(payload=claims(jti="gone")), engine, now=NOW)
    assert report.code == "revoked"
    assert report.probable_cause is not None
    assert report.probable_cause.id == "revoked"

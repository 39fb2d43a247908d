"""Revocation wins: in the next call, in every way in, whatever is cached, whatever is refreshed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rapidjws import Engine, Issuer, Rejected, TokenCache
from rapidjws.errors import DependencyUnavailable, PolicyRefused, RapidJWSError
from rapidjws.stores import RevocationFile
from rapidjws.testing import FakeIssuer
from rapidjws.verify.revocations import Revocation

NOW = int(time.time())
B = FakeIssuer("https://b.example", "ES256", lifetime_s=86_400)
WAYS: dict[str, Callable[[Engine, str], Any]] = {
    "verify": lambda engine, token: engine.verify(token),
    "verify_many": lambda engine, token: engine.verify_many([token])[0],
    "averify": lambda engine, token: asyncio.run(engine.averify(token)),
}


def engine_of(*issuers: FakeIssuer, **settings: Any) -> Engine:
    """Make an engine for these issuers."""
    rules = [
        Issuer(one.iss, keys=one.jwks.keys, algorithms=[alg], audience=one.audience)
        for one in issuers
        for alg in ("ES256",)
    ]
    return Engine(*rules, **settings)


def code_of(way: str, engine: Engine, token: str) -> str:
    """Return the code of the refusal, or "ok"."""
    try:
        result = WAYS[way](engine, token)
    except RapidJWSError as refused:
        return refused.code
    return result.code if isinstance(result, Rejected) else "ok"


ES = FakeIssuer("https://a.example", "ES256", lifetime_s=86_400)
KEY = ES.jwks.keys[0]
REVOCATIONS: list[dict[str, Any]] = [
    {"kid": KEY.kid},
    {"kid": KEY.kid, "issuer": ES.iss},
    {"thumbprint": KEY.thumbprint()},
    {"thumbprint": KEY.thumbprint(), "issuer": ES.iss},
    {"issuer": ES.iss},
    {"jti": "token-1"},
    {"jti": "token-1", "issuer": ES.iss},
    {"sub": "user-1", "issuer": ES.iss},
    {"sid": "session-1", "issuer": ES.iss},
    {"sub": "user-1", "issuer": ES.iss, "issued_before": NOW + 1},
    {"issued_before": NOW + 1},
    {"issued_before": NOW + 1, "issuer": ES.iss},
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("what", REVOCATIONS, ids=lambda what: "+".join(what))
def test_a_revocation_holds_from_the_next_call_on(way: str, cached: bool, what: dict[str, Any]) -> None:
    """Each kind of revocation refuses at once, and lifting it accepts again."""
    engine = engine_of(ES, B, cache=TokenCache() if cached else None)
    token, other = ES.token(ES.claims(NOW, jti="token-1", sid="session-1")), B.token(B.claims(NOW + 30))
    assert code_of(way, engine, token) == code_of(way, engine, token) == "ok"
    revocation = engine.revoke(**what)
    assert code_of(way, engine, token) == code_of(way, engine, token) == "revoked"
    assert code_of(way, engine, other) == "ok"
    assert engine.revocations() == (revocation,)
    assert engine.unrevoke(revocation)
    assert not engine.unrevoke(revocation)
    assert code_of(way, engine, token) == "ok"


@pytest.mark.parametrize("what", REVOCATIONS, ids=lambda what: "+".join(what))
def test_a_revocation_survives_a_refresh(what: dict[str, Any]) -> None:
    """Publishing the same keys again does not bring a revoked one back."""
    engine = engine_of(ES)
    engine.revoke(**what)
    engine.replace_keys(ES.iss, ES.jwks)
    assert code_of("verify", engine, ES.token(ES.claims(NOW, jti="token-1", sid="session-1"))) == "revoked"


def test_other_issuers_are_not_touched() -> None:
    """A revocation narrowed to one issuer leaves another's key of the same name alone."""
    twin = FakeIssuer("https://b.example/a.example", "ES256", lifetime_s=86_400)
    kid = twin.jwks.keys[0].kid
    assert kid == KEY.kid
    engine = engine_of(ES, twin)
    engine.revoke(kid=kid, issuer=ES.iss)
    assert code_of("verify", engine, ES.token(ES.claims(NOW))) == "revoked"
    assert code_of("verify", engine, twin.token(twin.claims(NOW))) == "ok"


def test_a_token_without_iat_is_refused_by_a_cutoff() -> None:
    """What cannot show that it is younger counts as older."""
    engine = engine_of(ES)
    engine.revoke(issued_before=NOW - 1000)
    assert code_of("verify", engine, ES.token(ES.claims(NOW, iat=None))) == "revoked"
    assert code_of("verify", engine, ES.token(ES.claims(NOW))) == "ok"


def test_a_bad_signature_says_so_even_with_a_revoked_jti() -> None:
    """Token revocations are looked at only after everything else."""
    engine = engine_of(ES)
    engine.revoke(jti="token-1")
    forged = ES.token(ES.claims(NOW, jti="token-1"))
    forged = f"{forged[:-8]}{'A' * 7}{'A' if forged[-1] != 'A' else 'Q'}"
    assert code_of("verify", engine, forged) == "signature_invalid"


def test_no_revocation_no_post_checks() -> None:
    """An engine without these features carries no check behind the verification."""
    engine = engine_of(ES)
    assert engine._snapshot.post_checks is None
    lifted = engine.revoke(jti="x")
    assert engine._snapshot.post_checks is not None
    engine.unrevoke(lifted)
    assert engine._snapshot.post_checks is None


@pytest.mark.parametrize(
    "wrong",
    [{}, {"kid": ""}, {"kid": "a", "jti": "b"}, {"issued_before": -1}, {"issued_before": 1.5}, {"kid": 7}],
    ids=str,
)
def test_a_revocation_names_one_thing(wrong: dict[str, Any]) -> None:
    """Nothing, two things, and values that cannot be are refused, and change nothing."""
    with pytest.raises(RapidJWSError) as refused:
        Revocation(**wrong)
    assert refused.value.code == "configuration_invalid"


def test_the_error_is_a_policy_refusal() -> None:
    """A revoked token is denied, not indeterminate."""
    engine = engine_of(ES)
    engine.revoke(issuer=ES.iss)
    with pytest.raises(PolicyRefused) as refused:
        engine.verify(ES.token(ES.claims(NOW)))
    assert refused.value.outcome == "deny"


def test_a_list_that_nobody_could_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revocation that makes the list too large fails, and the list stays readable."""
    store = RevocationFile(tmp_path / "revoked.json")
    store.add(Revocation(jti="a"))
    monkeypatch.setattr(
        "rapidjws.stores.revocation_file.FILE_MAX_BYTES", (tmp_path / "revoked.json").stat().st_size + 9
    )
    with pytest.raises(DependencyUnavailable):
        store.add(Revocation(jti="b"))
    assert [one.jti for one in RevocationFile(tmp_path / "revoked.json").load()] == ["a"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"revocations": [', "JSONDecodeError"),
        ("", "JSONDecodeError"),
        ("{}", "KeyError"),
        ('{"revocations": [{"colour": "red"}]}', "cannot read"),
        (None, "no file any more"),
    ],
)
def test_a_revocation_file_that_is_not_read_says_why(tmp_path: Path, text: str | None, found: str) -> None:
    """An operator must know whether to restore a file, to mount a disk or to change a mode."""
    path = tmp_path / "revocations.json"
    store = RevocationFile(path)
    store.add(Revocation(kid="a"))
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(DependencyUnavailable, match=found):
        store.load()


def test_a_revocation_that_is_not_kept_says_why(tmp_path: Path) -> None:
    """A folder that is not there, or a full disk, is named."""
    with pytest.raises(DependencyUnavailable, match="No such file or directory"):
        RevocationFile(tmp_path / "absent" / "revocations.json").add(Revocation(kid="a"))

"""The hook that an authorization server calls when it revokes a token (RFC 7009)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rapidjws import ConfigurationError, Engine, Issuer, Replay
from rapidjws.errors import error_for
from rapidjws.signals import TokenRevocationHook
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import FakeIssuer

ISSUER = FakeIssuer("https://as.example", "ES256", lifetime_s=86_400)
FORM = "application/x-www-form-urlencoded"
SECRET = "a secret of the authorization server"
SHOWN = f"Bearer {SECRET}"


def engine_of(**rules: Any) -> Engine:
    """Return an engine."""
    issuer = Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=ISSUER.audience, **rules)
    return Engine(issuer, workers=1)


def token(**changes: Any) -> str:
    """Return an access token; a change to None leaves a claim out."""
    claims = {**ISSUER.claims(int(time.time()) - 5, jti="t-1"), **changes}
    return ISSUER.token({name: value for name, value in claims.items() if value is not None})


def form(value: str) -> bytes:
    """Return a form with a token."""
    return f"token={value}&token_type_hint=access_token".encode()


def test_a_token_is_revoked_by_its_jti() -> None:
    """200 comes once the token is refused here; another one of the same subject is not."""
    engine, value = engine_of(), token()
    hook = TokenRevocationHook(engine, secret=SECRET)
    assert engine.decide(value).code == "ok"
    assert hook.handle("POST", FORM, form(value), SHOWN) == (200, b"")
    assert engine.decide(value).code == "revoked"
    assert engine.decide(token(jti="t-2")).code == "ok"
    assert hook.handle("POST", FORM, form(value), SHOWN)[0] == 200


@pytest.mark.parametrize(
    "bad",
    ["x", token()[:-8] + "AAAAAAAA", token(exp=1), token(aud="https://other.example")],
    ids=["no token", "forged", "expired", "for another audience"],
)
def test_what_is_no_good_token_revokes_nothing(bad: str) -> None:
    """It is answered with 200 (RFC 7009 s.2.2): it is refused anyway, and its jti proves nothing."""
    engine = engine_of()
    assert TokenRevocationHook(engine, secret=SECRET).handle("POST", FORM, form(bad), SHOWN) == (200, b"")
    assert engine.revocations() == ()


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (405, ("GET", FORM, form(token()), SHOWN)),
        (401, ("POST", FORM, form(token()), None)),
        (401, ("POST", FORM, form(token()), "Bearer x")),
        (401, ("POST", FORM, form(token()), f"Basic {SECRET}")),
        (400, ("POST", "application/json", form(token()), SHOWN)),
        (400, ("POST", FORM, b"", SHOWN)),
        (400, ("POST", FORM, b"token=", SHOWN)),
        (400, ("POST", FORM, form(token()) + b"&token=y", SHOWN)),
        (400, ("POST", FORM, form(token(jti=None)), SHOWN)),
    ],
)
def test_a_request_that_is_not_right_revokes_nothing(status: int, request_: Any) -> None:
    """Another method, no secret, another form, two tokens, and a token that no jti names."""
    engine = engine_of()
    assert TokenRevocationHook(engine, secret=SECRET).handle(*request_)[0] == status
    assert engine.revocations() == ()


def test_a_token_that_is_used_once_or_bound_is_verified_by_another_engine() -> None:
    """The hook has no proof, and uses nothing up; without that engine a bound token is answered with 503."""
    engine = engine_of(cnf="checked", replay=Replay(store=MemoryReplayStore()))
    value = token(cnf={"jkt": "x" * 43})
    assert TokenRevocationHook(engine, secret=SECRET).handle("POST", FORM, form(value), SHOWN)[0] == 503
    hook = TokenRevocationHook(engine, secret=SECRET, tokens=engine_of())
    assert hook.handle("POST", FORM, form(value), SHOWN)[0] == 200
    assert engine.decide(value).code == "revoked"


def test_a_store_that_is_down_is_not_forgotten() -> None:
    """503: the server sends it again."""
    engine = engine_of()
    hook = TokenRevocationHook(engine, secret=SECRET)

    class Down:
        issuers = engine.issuers

        def revoke(self, **_: Any) -> None:
            raise error_for("revocation_store_unavailable", "store")

    hook._engine = Down()  # type: ignore[assignment]
    assert hook.handle("POST", FORM, form(token()), SHOWN)[0] == 503


def test_a_short_secret_is_refused() -> None:
    """32 characters at least."""
    with pytest.raises(ConfigurationError, match="secret"):
        TokenRevocationHook(engine_of(), secret="short")

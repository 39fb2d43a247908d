"""The words of a claims refusal are the talkative checker's own, whichever way they were found."""

from __future__ import annotations

import json
from typing import Any

import pytest
import tokens
from tokens import NOW_S

import rapidjws
from rapidjws.errors import RapidJWSError
from rapidjws.jose.claims import RULED, check_claims, refusal_by

CASES: dict[str, dict[str, Any]] = {
    "claim_mismatch": {"azp": "other"},
    "issuer_mismatch": {"iss": "https://elsewhere.example"},
    "audience_mismatch": {"aud": ["https://elsewhere.example", "other"]},
    "expired": {"exp": NOW_S - 61},
    "not_yet_valid": {"nbf": NOW_S + 61},
    "issued_in_future": {"iat": NOW_S + 61},
    "too_old": {"iat": NOW_S - 1000},
}


def refused(alg: str, changes: dict[str, Any]) -> tuple[RapidJWSError, RapidJWSError]:
    """Return the engine's error for a token with these claims, and the checker's own."""
    issuer = rapidjws.Issuer(
        tokens.ISS,
        keys=[tokens.key(alg)],
        algorithms=[alg],
        audience=tokens.AUD,
        max_age_s=500,
        claims={"azp": rapidjws.ABSENT},
    )
    token = tokens.token(alg, **changes)
    with pytest.raises(RapidJWSError) as ours:
        rapidjws.Engine(issuer).verify(token, NOW_S)
    with pytest.raises(RapidJWSError) as due:
        check_claims(tokens.b64url_decode(token.split(".")[1]), issuer.rules().policy, NOW_S)
    return ours.value, due.value


def test_every_ruled_code_has_a_case() -> None:
    """A code that takes the short way is compared below."""
    assert set(CASES) == RULED


@pytest.mark.parametrize("code", CASES)
def test_the_words_are_the_checkers(code: str) -> None:
    """Code, place, expected and actual are what the whole check says."""
    ours, due = refused("HS256", CASES[code])
    assert ours.code == code
    assert ours.as_dict() == due.as_dict()
    assert ours.__traceback__ is not None  # raised here, holding no frame of the search for words


@pytest.mark.parametrize("code", sorted(RULED))
def test_a_rule_that_passes_has_no_words(code: str) -> None:
    """Claims that are good by a rule give no error of that rule; another rule's error is not passed off."""
    policy = rapidjws.Issuer(
        tokens.ISS, keys=[tokens.key("HS256")], algorithms=["HS256"], audience=tokens.AUD, max_age_s=500,
        claims={"azp": rapidjws.ABSENT},
    ).rules().policy  # fmt: skip
    assert policy is not None
    good, late = (json.dumps(tokens.claims(**more)).encode() for more in ({}, {"exp": NOW_S - 1000}))
    assert refusal_by(code, good, policy, NOW_S * 10**9) is None
    if code != "expired":
        assert refusal_by(code, late, policy, NOW_S * 10**9) is None

"""A SPIFFE trust domain beside other issuers: neither's keys verify tokens of the other's name."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from rapidjws import Engine, Issuer, RapidJWSError, Rejected
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

NOW_S = 1_800_000_000
AUD = "api"
OTHER = "https://other.example"
TENANTS = "https://login.example/{tid}/v2.0"
WORKLOAD = "spiffe://td/web"


def token(key: Any, **claims: Any) -> str:
    """Return a token."""
    made = {"aud": AUD, "exp": NOW_S + 60, **claims}
    return sign_compact(json.dumps(made).encode(), LocalSigner(key))


def code(engine: Engine, text: str) -> str:
    """Return the issuer of a token, or the code of the refusal; the same alone, in a batch and decided."""
    try:
        found = str(engine.verify(text, NOW_S).issuer)
    except RapidJWSError as refused:
        found = refused.code
    (one,) = engine.verify_many([text], NOW_S)
    assert found == (one.code if isinstance(one, Rejected) else one.issuer)
    assert engine.decide(text, now=NOW_S).code == ("ok" if "://" in found else found)
    return found


@pytest.mark.parametrize("kids", [("a", "b", "c"), ("1", "1", "1")])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_no_key_verifies_a_token_of_another_name(kids: tuple[str, ...], order: tuple[int, ...]) -> None:
    """An iss that another issuer owns, by its name or a template, passes under that issuer's keys alone."""
    td, other, tenants = (make_key("ES256", kid=kid) for kid in kids)
    issuers = (
        Issuer.spiffe("td", keys=td.public(), audience=AUD),
        Issuer(OTHER, keys=other.public(), algorithms=["ES256"], audience=AUD),
        Issuer(TENANTS, keys=tenants.public(), algorithms=["ES256"], audience=AUD, tenants=["t1"]),
    )
    engine = Engine(*(issuers[at] for at in order))
    tenant = TENANTS.replace("{tid}", "t1")
    for _ in range(3):
        assert code(engine, token(td, sub=WORKLOAD)) == "spiffe://td"
        assert code(engine, token(td, sub=WORKLOAD, iss="spiffe://td")) == "spiffe://td"
        assert code(engine, token(other, sub=WORKLOAD, iss=OTHER)) == OTHER
        assert code(engine, token(tenants, sub=WORKLOAD, iss=tenant, tid="t1")).startswith(
            "https://login.example/"
        )
        for key, claims in (
            (td, {"iss": OTHER}),
            (td, {"iss": tenant, "tid": "t1"}),
            (other, {}),
            (other, {"iss": "spiffe://td"}),
            (tenants, {"iss": OTHER}),
            (tenants, {}),
        ):
            assert "://" not in code(engine, token(key, sub=WORKLOAD, **claims))


def test_what_a_server_puts_into_iss_is_nobodys_name() -> None:
    """An iss that no issuer owns, as SPIRE may write it, refuses no workload; a foreign domain does."""
    td, other = make_key("ES256", kid="a"), make_key("ES256", kid="b")
    engine = Engine(
        Issuer.spiffe("td", keys=td.public(), audience=AUD),
        Issuer.spiffe("td2", keys=other.public(), audience=AUD),
    )
    for _ in range(3):
        assert code(engine, token(td, sub=WORKLOAD, iss="https://spire.example")) == "spiffe://td"
        assert code(engine, token(td, sub=WORKLOAD, iss="spiffe://td2")) == "issuer_mismatch"
        assert code(engine, token(td, sub="spiffe://td2/web")) == "issuer_mismatch"

"""Which key answers for a token: issuers, kid, alg, and the change of keys. One test a rule."""

from __future__ import annotations

import json
from typing import Any

import pytest
import tokens
from tokens import AUD, ISS, NOW_S, code_of

import rapidjws
from rapidjws import Engine, Issuer, Verifier

A, B = "https://a.example", "https://b.example"


def two_issuers(kid: str | None = None, **options: Any) -> Engine:
    """Return an engine of two issuers with a key each, under one kid where it is given."""
    keys = {A: tokens.public("ES256", "a"), B: tokens.public("ES256", "b")}
    if kid is not None:
        keys = {iss: tokens.renamed(jwk, kid) for iss, jwk in keys.items()}
    return Engine(
        *(Issuer(iss, keys=jwk, algorithms=["ES256"], audience=AUD, **options) for iss, jwk in keys.items())
    )


def signed_by(name: str, **changes: Any) -> str:
    """Return a token signed by issuer a or b, without kid if the header says so."""
    return tokens.token("ES256", name, **changes)


def test_each_issuer_with_its_own_key() -> None:
    """Tokens of both issuers verify, and the result names the issuer whose key and rules applied."""
    engine = two_issuers()
    for iss, name in ((A, "a"), (B, "b")):
        verified = engine.verify(signed_by(name, iss=iss), NOW_S)
        assert (verified.issuer, verified.claims["iss"], verified.kid) == (iss, iss, f"{name}-es256")


def test_a_key_never_verifies_for_another_issuer() -> None:
    """A token that claims B and is signed by A is refused, whatever its kid, and whoever came before."""
    for kid in (None, "shared"):
        engine = two_issuers(kid)
        header = {} if kid is None else {"kid": kid}
        for warm in (signed_by("a", iss=A, header=header), signed_by("b", iss=B, header=header)):
            assert code_of(engine, warm) == "ok"
        expected = "issuer_mismatch" if kid is None else "signature_invalid"
        assert code_of(engine, signed_by("a", iss=B, header=header)) == expected
        assert code_of(engine, signed_by("b", iss=A, header=header)) == expected


def test_one_kid_in_two_issuers() -> None:
    """Where two issuers use one kid, the stated iss only chooses the key to try; it has to verify then."""
    engine = two_issuers("shared")
    for iss, name in ((A, "a"), (B, "b")):
        token = signed_by(name, iss=iss, header={"kid": "shared"})
        assert engine.verify(token, NOW_S).issuer == iss
        assert code_of(engine, token) == "ok"


@pytest.mark.parametrize("iss", ["https://c.example", A + "/", A.upper(), None, 1, [A], "", {"a": A}])
def test_an_unknown_issuer(iss: Any) -> None:
    """Where iss has to choose, one that is not configured, missing or no text chooses nothing."""
    engine = two_issuers("shared")
    assert code_of(engine, signed_by("a", iss=iss, header={"kid": "shared"})) == "unknown_issuer"
    assert code_of(engine, signed_by("a", iss=A, header={"kid": "shared"})) == "ok"
    assert code_of(engine, signed_by("a", iss=iss, header={"kid": "shared"})) == "unknown_issuer"


def test_iss_with_escapes_chooses_all_the_same() -> None:
    """An iss written with JSON escapes names the same issuer, the first time and later."""
    engine = two_issuers("shared")
    jwk = tokens.renamed(tokens.key("ES256", "a"), "shared")
    payload = json.dumps(tokens.claims(iss=A)).replace(A, "https:\\/\\/a.\\u0065xample").encode()
    token = tokens.sign(jwk, {"alg": "ES256", "kid": "shared"}, payload)
    assert code_of(engine, token) == "ok"
    assert code_of(engine, signed_by("a", iss=A, header={"kid": "shared"})) == "ok"
    assert code_of(engine, token) == "ok"


def test_a_kid_of_one_issuer_with_the_iss_of_the_other() -> None:
    """A kid that one issuer has leads to its key alone, and its rules refuse the other iss."""
    engine = two_issuers()
    assert code_of(engine, signed_by("a", iss=B)) == "issuer_mismatch"
    assert code_of(engine, signed_by("b", iss=B, header={"kid": "a-es256"})) == "signature_invalid"


def test_an_algorithm_is_allowed_per_issuer() -> None:
    """What one issuer may use, another may not."""
    engine = Engine(
        Issuer(A, keys=tokens.public("ES256", "a"), algorithms=["ES256"], audience=AUD),
        Issuer(B, keys=tokens.public("RS256"), algorithms=["RS256"], audience=AUD),
    )
    assert code_of(engine, tokens.token("RS256", iss=B)) == "ok"
    header = {"kid": "a-es256"}
    assert code_of(engine, tokens.token("RS256", iss=A, header=header)) == "algorithm_not_allowed"


def test_algorithm_not_allowed() -> None:
    """A key that could serve an algorithm does not where the caller left it out."""
    keys = [tokens.public("ES256"), tokens.public("RS256"), tokens.public("ES384")]
    verifier = Verifier(keys, algorithms=["ES256", "ES384"])
    assert code_of(verifier, tokens.token("RS256")) == "algorithm_not_allowed"
    assert code_of(verifier, tokens.token("RS256", header={"kid": None})) == "algorithm_not_allowed"


def test_missing_kid_with_one_fitting_key() -> None:
    """Without kid the one key that fits verifies, even beside keys of other kinds."""
    verifier = Verifier([tokens.public("ES256"), tokens.public("RS256")], algorithms=["ES256", "RS256"])
    for alg in ("ES256", "RS256"):
        assert code_of(verifier, tokens.token(alg, header={"kid": None})) == "ok"


def test_missing_kid_with_several_fitting_keys() -> None:
    """Without kid, several keys that fit are ambiguous: none is tried."""
    verifier = Verifier([tokens.public("ES256"), tokens.public("ES256", "k2")], algorithms=["ES256"])
    assert code_of(verifier, tokens.token("ES256", header={"kid": None})) == "ambiguous_key"
    assert code_of(verifier, tokens.token("ES256")) == "ok"


def test_missing_kid_with_no_fitting_key() -> None:
    """Without kid and without a key that fits, nothing verifies."""
    verifier = Verifier(tokens.public("ES256"), algorithms=["ES256", "RS256"])
    assert code_of(verifier, tokens.token("RS256", header={"kid": None})) == "no_suitable_key"


def test_require_kid() -> None:
    """Where kid is required, a token without is refused though one key would fit."""
    for verifier in (
        Verifier(tokens.public("ES256"), algorithms=["ES256"], require_kid=True),
        tokens.engine("ES256", require_kid=True),
    ):
        assert code_of(verifier, tokens.token("ES256")) == "ok"
        assert code_of(verifier, tokens.token("ES256", header={"kid": None})) == "missing_kid"


def test_unknown_kid() -> None:
    """A kid that no key of a set has is never answered by another key, not even by one without kid."""
    nameless = rapidjws.JWKSet([tokens.renamed(tokens.public("ES256"), None)])
    for keys in (tokens.public("ES256"), nameless):
        verifier = Verifier(keys, algorithms=["ES256"])
        assert code_of(verifier, tokens.token("ES256", header={"kid": "other"})) == "unknown_kid"
    assert code_of(Verifier(nameless, algorithms=["ES256"]), tokens.token(header={"kid": None})) == "ok"


def test_a_bound_key_serves_its_alg_only() -> None:
    """A key with alg serves that one; the same key without it serves all that fit its type."""
    jwk = tokens.key("RS256")
    algorithms = ["RS256", "RS384", "PS256"]
    bound, free = (
        Verifier(jwk.public(), algorithms=algorithms),
        Verifier(tokens.renamed(jwk.public(), jwk.kid, alg=None), algorithms=algorithms),
    )
    for alg in algorithms:
        signing = tokens.renamed(jwk, jwk.kid, alg=alg)
        token = tokens.sign(signing, {"alg": alg, "kid": jwk.kid}, b"{}")
        assert code_of(free, token) == "ok"
        assert code_of(bound, token) == ("ok" if alg == "RS256" else "key_alg_mismatch")


@pytest.mark.parametrize("crv", ["Ed25519", "Ed448"])
def test_the_fully_specified_names(crv: str) -> None:
    """A key of one curve answers to EdDSA and to its own name, not to the other curve's."""
    jwk = tokens.key("EdDSA", f"free-{crv}", bound=False, crv=crv)
    other = "Ed448" if crv == "Ed25519" else "Ed25519"
    verifier = Verifier(jwk.public(), algorithms=["EdDSA", "Ed25519", "Ed448"])
    for alg in ("EdDSA", crv):
        assert code_of(verifier, tokens.sign(jwk, {"alg": alg, "kid": jwk.kid}, b"{}", alg=alg)) == "ok"
    token = tokens.sign(jwk, {"alg": other, "kid": jwk.kid}, b"{}", alg=crv)
    assert code_of(verifier, token) == "key_alg_mismatch"


def test_a_kid_that_stands_twice_names_no_key() -> None:
    """Of two keys under one kid neither is used, and the set says so; with no other key, nothing is built."""
    twins = [tokens.renamed(tokens.public("ES256", name), "twin") for name in ("k1", "k2")]
    keys = [*twins, tokens.public("ES256", "k3")]
    jwks = rapidjws.JWKSet.from_json(json.dumps({"keys": [jwk.as_dict() for jwk in keys]}))
    verifier = Verifier(jwks, algorithms=["ES256"])
    assert [gone.code for gone in jwks.skipped] == ["duplicate_kid", "duplicate_kid"]
    for name in ("k1", "k2"):
        code = code_of(verifier, tokens.token("ES256", name, header={"kid": "twin"}))
        assert code == "ambiguous_key"


def test_keys_that_cannot_serve_are_named() -> None:
    """A key whose algorithm the caller does not allow serves nothing; the others do."""
    verifier = Verifier([tokens.public("ES256"), tokens.public("RS256")], algorithms=["ES256"])
    assert code_of(verifier, tokens.token("ES256")) == "ok"
    assert code_of(verifier, tokens.token("RS256")) == "algorithm_not_allowed"


def test_replaced_keys() -> None:
    """After replace_keys the old key is refused by the very next call, and the new one verifies."""
    engine = tokens.engine("ES256")
    old, new = tokens.token("ES256"), tokens.token("ES256", "k2")
    assert (code_of(engine, old), code_of(engine, new)) == ("ok", "unknown_kid")
    engine.replace_keys(ISS, tokens.public("ES256", "k2"))
    assert (code_of(engine, old), code_of(engine, new)) == ("unknown_kid", "ok")
    engine.replace_keys(ISS, [])
    assert (code_of(engine, old), code_of(engine, new)) == ("unknown_kid", "unknown_kid")


def test_the_same_kid_with_other_material() -> None:
    """A kid that is bound to a new key refuses the old one's tokens, though their header was known."""
    engine = tokens.engine("ES256")
    token = tokens.token("ES256")
    assert code_of(engine, token) == "ok"
    engine.replace_keys(ISS, tokens.renamed(tokens.public("ES256", "k2"), tokens.key("ES256").kid))
    assert code_of(engine, token) == "signature_invalid"


def test_replacing_one_issuers_keys_leaves_the_others() -> None:
    """A change of A's keys does not touch B's."""
    engine = two_issuers()
    engine.replace_keys(A, tokens.public("ES256", "k2"))
    assert code_of(engine, signed_by("b", iss=B)) == "ok"
    assert code_of(engine, signed_by("a", iss=A)) == "unknown_kid"


def test_keys_of_an_unknown_issuer_are_not_replaced() -> None:
    """A name that is not configured is a mistake, and the old keys stay."""
    engine = tokens.engine("ES256")
    with pytest.raises(rapidjws.ConfigurationError):
        engine.replace_keys("https://nobody.example", tokens.public("ES256", "k2"))
    assert code_of(engine, tokens.token("ES256")) == "ok"


def test_an_issuer_stands_once() -> None:
    """An engine needs at least one issuer, and each once."""
    for issuers in ((), (tokens.issuer(), tokens.issuer("RS256"))):
        with pytest.raises(rapidjws.ConfigurationError) as refused:
            Engine(*issuers)
        assert refused.value.code == "configuration_invalid"

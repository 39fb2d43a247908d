"""Which signatures must be good: the policies, the results, and signers that disagree."""

from __future__ import annotations

from typing import Any

import forms
import pytest
import tokens

import rapidjws
from rapidjws import all_of, any_of, at_least, signers

A, B, C = (forms.signed(name=name) for name in ("k1", "k2", "k3"))
BAD = forms.spoiled(B)


@pytest.fixture(scope="module")
def verifier() -> rapidjws.Verifier:
    """Return a verifier of three keys without names."""
    return forms.verifier(names=("k1", "k2", "k3"))


KIDS = ("k1-es256", "k2-es256", "k3-es256")
CASES: list[tuple[Any, tuple[Any, ...], str]] = [
    (all_of(), (A, B, C), "ok"),
    (all_of(), (A, BAD, C), "signatures_insufficient"),
    (any_of(), (A, BAD), "ok"),
    (any_of(), (BAD, A), "ok"),
    (any_of(), (BAD, BAD), "signatures_insufficient"),
    (at_least(1), (A, BAD), "ok"),
    (at_least(2), (A, BAD, C), "ok"),
    (at_least(2), (A, BAD), "signatures_insufficient"),
    (at_least(2), (A, A), "signatures_insufficient"),
    (at_least(4), (A, B, C), "signatures_insufficient"),
    (signers(KIDS), (A, B, C), "ok"),
    (signers({KIDS[0]}), (A, BAD), "ok"),
    (signers({KIDS[1]}), (A, BAD), "signatures_insufficient"),
    (signers({KIDS[0], KIDS[1]}), (A, C), "signatures_insufficient"),
    (signers({("https://a", KIDS[0])}), (A, B), "signatures_insufficient"),
]


@pytest.mark.parametrize(
    ("policy", "signatures", "due"), CASES, ids=[str(index) for index in range(len(CASES))]
)
def test_policies(policy: Any, signatures: Any, due: str, verifier: rapidjws.Verifier) -> None:
    """Each policy accepts what it asks for and nothing less; two signatures by one key count once."""
    assert forms.outcome(verifier, forms.general(*signatures), signatures=policy) == due


def test_one_key_under_two_kids_counts_once() -> None:
    """at_least counts keys: a key that is published under two kids is one signer."""
    twin = tokens.renamed(tokens.public("ES256"), "twin")
    both = rapidjws.Verifier([tokens.public("ES256"), twin], algorithms=["ES256"])
    token = forms.general(A, forms.signed(protected={"alg": "ES256", "kid": "twin"}))
    assert forms.outcome(both, token, signatures=all_of()) == "ok"
    assert forms.outcome(both, token, signatures=at_least(2)) == "signatures_insufficient"


def test_a_compact_token_meets_policies_too(verifier: rapidjws.Verifier) -> None:
    """A compact token is one signature: policies that ask for more, or for another signer, refuse it."""
    token = tokens.token()
    for policy, due in (
        (any_of(), "ok"),
        (at_least(1), "ok"),
        (at_least(2), "signatures_insufficient"),
        (signers({KIDS[0]}), "ok"),
        (signers({KIDS[1]}), "signatures_insufficient"),
    ):
        fresh = forms.verifier(names=("k1", "k2"))
        assert forms.outcome(fresh, token, signatures=policy) == due


def test_a_single_signature_gives_its_own_reason(verifier: rapidjws.Verifier) -> None:
    """With one signature the reason is that signature's, in the flattened and in the general form."""
    bad = forms.spoiled(A)
    assert forms.outcome(verifier, forms.general(bad)) == "signature_invalid"
    assert forms.outcome(verifier, {"payload": tokens.b64url(forms.PAYLOAD), **bad}) == "signature_invalid"


def test_results_tell_of_each_signature(verifier: rapidjws.Verifier) -> None:
    """Each signature has a result in order: verdict, code, place, kid, alg, thumbprint, header."""
    stranger = forms.signed(name="k4")
    unsigned = forms.signed(protected={"alg": "none", "kid": "x"})
    token = forms.general(stranger, A, BAD, unsigned)
    for _ in range(2):
        verified = verifier.verify(token, signatures=any_of())
        assert [(one.index, one.verdict, one.code, one.alg, one.kid) for one in verified.signatures] == [
            (0, "refused", "unknown_kid", "ES256", "k4-es256"),
            (1, "verified", None, "ES256", "k1-es256"),
            (2, "refused", "signature_invalid", "ES256", "k2-es256"),
            (3, "refused", "unsupported_algorithm", "none", "x"),
        ]
        places = [one.place for one in verified.signatures]
        assert places == [
            "signatures[0].header.kid",
            None,
            "signatures[2].signature",
            "signatures[3].header.alg",
        ]
        assert verified.signatures[1].key_thumbprint == tokens.public("ES256").thumbprint()
        assert [one.header is None for one in verified.signatures] == [True, False, True, True]
        assert (verified.kid, verified.header["kid"]) == ("k1-es256", "k1-es256")
    with pytest.raises(rapidjws.SignaturesRefused) as refused:
        verifier.verify(token)
    assert [one.code for one in refused.value.signatures] == [
        "unknown_kid", None, "signature_invalid", "unsupported_algorithm",
    ]  # fmt: skip


def test_a_compact_token_has_one_result(verifier: rapidjws.Verifier) -> None:
    """A compact token and a known general one give full results as well."""
    (only,) = verifier.verify(tokens.token()).signatures
    assert (only.verdict, only.alg, only.kid) == ("verified", "ES256", "k1-es256")
    for _ in range(2):
        results = verifier.verify(forms.general(A, C)).signatures
        assert [one.kid for one in results] == ["k1-es256", "k3-es256"]
        assert all(one.header and one.key_thumbprint for one in results)


def reported(name: str, **parameters: Any) -> dict[str, Any]:
    """Return a signature whose protected header tells something more."""
    return forms.signed(name=name, protected={"alg": "ES256", "kid": f"{name}-es256", **parameters})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"typ": "a"}, {"typ": "b"}),
        ({"cty": "a"}, {"cty": "b"}),
        ({"exp": 1}, {"exp": 2}),
        ({"exp": 1}, {"exp": True}),
        ({"x": {"y": [1]}}, {"x": {"y": [2]}}),
        ({"x": 1}, {"x": "1"}),
    ],
)
def test_signers_that_disagree_are_refused(one: Any, other: Any, verifier: rapidjws.Verifier) -> None:
    """Two good signatures that protect different values of one parameter refuse the token, unless allowed."""
    name = next(iter(one))
    token = forms.general(reported("k1", **one), reported("k2", **other))
    for policy in (all_of(), any_of(), at_least(2), signers(KIDS[:2])):
        assert forms.outcome(verifier, token, signatures=policy) == "signers_disagree"
    assert forms.outcome(verifier, token, signatures=all_of(may_differ=[name])) == "ok"
    with pytest.raises(rapidjws.SignaturesRefused) as refused:
        verifier.verify(token)
    assert refused.value.place == f"header.{name}"
    assert [result.verdict for result in refused.value.signatures] == ["verified", "verified"]


def test_what_is_no_disagreement(verifier: rapidjws.Verifier) -> None:
    """Signers may differ in what is their own or left unsaid, and a bad signature has no voice."""
    silent = forms.general(reported("k1", typ="a"), reported("k2"))
    own = forms.general(reported("k1", iss="a", iat=1, x5t="a"), reported("k2", iss="b", iat=2, x5t="b"))
    same = forms.general(reported("k1", x={"a": 1, "b": 2}), reported("k2", x={"b": 2, "a": 1}))
    for token in (silent, own, same):
        assert forms.outcome(verifier, token) == "ok"
    liar = forms.general(reported("k1", typ="a"), forms.spoiled(reported("k2", typ="b")))
    assert forms.outcome(verifier, liar, signatures=any_of()) == "ok"


@pytest.fixture(scope="module")
def named() -> rapidjws.Verifier:
    """Return a verifier of two named issuers; a kid of the second is the name of the first."""
    imposter = tokens.renamed(tokens.public("ES256", "k3"), "https://a")
    return rapidjws.Verifier(
        {"https://a": tokens.public("ES256", "k1"), "https://b": [tokens.public("ES256", "k2"), imposter]},
        algorithms=["ES256"],
    )


def test_named_issuers(named: rapidjws.Verifier) -> None:
    """With named issuers, signers are issuers; a kid never passes for one; a pair asks for one key."""
    token = forms.general(A, B)
    for names, due in (
        ({"https://a", "https://b"}, "ok"),
        ({("https://b", "k2-es256")}, "ok"),
        ({("https://a", "k2-es256")}, "signatures_insufficient"),
        ({"k1-es256"}, "signatures_insufficient"),
        ({"https://c"}, "signatures_insufficient"),
    ):
        assert forms.outcome(named, token, signatures=signers(names)) == due
    imposter = forms.general(B, forms.signed(name="k3", protected={"alg": "ES256", "kid": "https://a"}))
    assert forms.outcome(named, imposter) == "ok"
    assert forms.outcome(named, imposter, signatures=signers({"https://a"})) == "signatures_insufficient"
    assert [one.issuer for one in named.verify(token).signatures] == ["https://a", "https://b"]


def test_a_named_issuer_answers_for_its_own_name(named: rapidjws.Verifier) -> None:
    """A protected iss that names an issuer is answered by its keys only, in every serialization."""
    for iss, due in (("https://a", "ok"), ("https://b", "unknown_kid"), ("https://c", "unknown_issuer")):
        header = {"alg": "ES256", "kid": "k1-es256", "iss": iss}
        assert forms.outcome(named, forms.flattened(protected=header)) == due
        assert forms.outcome(named, tokens.sign(tokens.key("ES256"), header, b"x")) == due


def test_a_kid_of_two_issuers_is_ambiguous() -> None:
    """Where two named issuers share a kid, the algorithm may still tell; else the token is refused."""
    shared = [
        tokens.renamed(tokens.public(alg, name), "k") for alg, name in (("ES256", "k1"), ("ES256", "k2"))
    ]
    two = rapidjws.Verifier({"a": shared[0], "b": shared[1]}, algorithms=["ES256"])
    token = forms.flattened(protected={"alg": "ES256", "kid": "k"})
    assert forms.outcome(two, token) == "ambiguous_key"
    other = rapidjws.Verifier(
        {"a": shared[0], "b": tokens.renamed(tokens.public("EdDSA"), "k")}, algorithms=["ES256", "EdDSA"]
    )
    assert forms.outcome(other, token) == "ok"


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "2"])
def test_at_least_wants_a_count(count: Any) -> None:
    """A count is a whole number from 1 on."""
    with pytest.raises(rapidjws.ConfigurationError):
        at_least(count)


@pytest.mark.parametrize("names", ["k1", [], [""], [1], [("a",)], [("a", "")]])
def test_signers_wants_names(names: Any) -> None:
    """Signers are a set of names or of pairs, and not none: an empty set would ask for nothing."""
    with pytest.raises(rapidjws.ConfigurationError):
        signers(names)


def test_settings_are_checked() -> None:
    """Names of issuers, of parameters and of extensions are checked when they are given."""
    for keys in ({}, {"": tokens.public("ES256")}, {1: tokens.public("ES256")}):
        with pytest.raises(rapidjws.ConfigurationError):
            rapidjws.Verifier(keys, algorithms=["ES256"])  # type: ignore[arg-type]
    with pytest.raises(rapidjws.ConfigurationError):
        any_of(may_differ="typ")
    for crit in ("b64", ["alg"], ["exp", ""]):
        with pytest.raises(rapidjws.ConfigurationError):
            forms.verifier(crit=crit)
    with pytest.raises(rapidjws.ConfigurationError):
        tokens.issuer(crit=["b64"])

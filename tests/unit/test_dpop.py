"""DPoP: what proofs are taken, what is refused, and that a refused proof uses nothing up (RFC 9449)."""

from __future__ import annotations

from typing import Any

import dpop
import pytest
import tokens
from dpop import NOW_S, bound_token, constraints, engine, outcome, proof, sent

import rapidjws
from rapidjws.sender import DPoP, SenderConstraints, SenderRequest
from rapidjws.stores import MemoryReplayStore

# RFC 9449 s.7.1, figures 12 and 13
EXAMPLE_TOKEN = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
EXAMPLE_PROOF = (
    b"eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpD"
    b"a0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6"
    b"IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGx"
    b"lLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk"
    b"1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJp"
    b"LjA"
)
EXAMPLE_JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
EXAMPLE_AT_S = 1562262618

INVALID = "dpop_proof_invalid"


def test_the_example_of_the_rfc_holds_for_its_request_alone() -> None:
    """Figures 12 and 13: the proof holds for its method, URI, key and time, and for no other."""
    checks = DPoP(external_origins="https://resource.example.org")
    request = SenderRequest(EXAMPLE_TOKEN, True, [EXAMPLE_PROOF], "GET", "/protectedresource", b"")
    now_ns = EXAMPLE_AT_S * 10**9
    for other in (
        request._replace(method="POST"),
        request._replace(path="/protectedresource/"),
        request._replace(path="/ProtectedResource"),
        request._replace(token=b"another"),
    ):
        refused = checks.refusal(other, EXAMPLE_JKT, now_ns)
        assert refused is not None
        assert refused.code == INVALID
    other_key = checks.refusal(request, EXAMPLE_JKT[::-1], now_ns)
    assert other_key is not None
    assert other_key.code == "binding_mismatch"
    late = checks.refusal(request, EXAMPLE_JKT, now_ns + 71 * 10**9)
    assert late is not None
    assert (late.code, late.place) == (INVALID, "dpop.iat")
    assert checks.refusal(request, EXAMPLE_JKT, now_ns) is None
    again = checks.refusal(request, EXAMPLE_JKT, now_ns)
    assert again is not None
    assert again.code == "dpop_proof_replayed"


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256"])
def test_every_allowed_algorithm_proves(alg: str) -> None:
    """A proof by a key of any allowed algorithm permits, whatever signed the token."""
    token = bound_token(alg, "k1")
    assert outcome(sent(token, proof(token, alg, "k1")), token) == ("ok", None)


CLAIMS: list[tuple[dict[str, Any], str, str]] = [
    ({"htm": "GET"}, INVALID, "dpop.htm"),
    ({"htm": "post"}, INVALID, "dpop.htm"),
    ({"htm": None}, INVALID, "dpop.htm"),
    ({"htm": ["POST"]}, INVALID, "dpop.htm"),
    ({"htu": None}, INVALID, "dpop.htu"),
    ({"htu": 7}, INVALID, "dpop.htu"),
    ({"htu": "/orders"}, INVALID, "dpop.htu"),
    ({"htu": "http://api.example/orders"}, INVALID, "dpop.htu"),
    ({"htu": "https://api.example:8443/orders"}, INVALID, "dpop.htu"),
    ({"htu": "https://other.example/orders"}, INVALID, "dpop.htu"),
    ({"htu": "https://api.example.evil.example/orders"}, INVALID, "dpop.htu"),
    ({"htu": "https://user@api.example/orders"}, INVALID, "dpop.htu"),
    ({"htu": "https://api.example/orders/"}, INVALID, "dpop.htu"),
    ({"htu": "https://api.example/Orders"}, INVALID, "dpop.htu"),
    ({"htu": "https://api.example//orders"}, INVALID, "dpop.htu"),
    ({"htu": "https://api.example/orders%2F"}, INVALID, "dpop.htu"),
    ({"htu": "https://api.example/orders;a=b"}, INVALID, "dpop.htu"),
    ({"htu": "https://api.example/orders?all=1"}, INVALID, "dpop.htu"),
    ({"htu": "https://api.example/orders\n"}, INVALID, "dpop.htu"),
    ({"iat": None}, INVALID, "dpop.iat"),
    ({"iat": "now"}, INVALID, "dpop.iat"),
    ({"iat": True}, INVALID, "dpop.iat"),
    ({"iat": 10**15}, INVALID, "dpop.iat"),
    ({"iat": NOW_S - 70}, INVALID, "dpop.iat"),
    ({"iat": NOW_S + 11}, INVALID, "dpop.iat"),
    ({"iat": NOW_S + 10.5}, INVALID, "dpop.iat"),
    ({"exp": NOW_S - 11}, INVALID, "dpop.exp"),
    ({"exp": "never"}, INVALID, "dpop.exp"),
    ({"nbf": NOW_S + 11}, INVALID, "dpop.nbf"),
    ({"nbf": True}, INVALID, "dpop.nbf"),
    ({"ath": None}, INVALID, "dpop.ath"),
    ({"ath": "a" * 43}, INVALID, "dpop.ath"),
    ({"ath": ["a"]}, INVALID, "dpop.ath"),
    ({"jti": None}, INVALID, "dpop.jti"),
    ({"jti": ""}, INVALID, "dpop.jti"),
    ({"jti": 7}, INVALID, "dpop.jti"),
    ({"jti": "j" * 1025}, INVALID, "dpop.jti"),
]
HEADERS: list[dict[str, Any]] = [
    {"typ": None},
    {"typ": "JWT"},
    {"typ": "at+jwt"},
    {"alg": "none"},
    {"alg": "ES384"},
    {"alg": "ES256K"},
    {"jwk": None},
    {"jwk": "key"},
    {"jwk": tokens.key("ES256", "dpop").as_dict(private=True)},
    {"jwk": {**tokens.public("ES256", "dpop").as_dict(), "d": ""}},
    {"jwk": {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}},
    {"jwk": {**tokens.public("ES256", "dpop").as_dict(), "alg": "ES384"}},
    {"jwk": {**tokens.public("ES256", "dpop").as_dict(), "use": "enc"}},
    {"jwk": {**tokens.public("ES256", "dpop").as_dict(), "y": "AAAA"}},
    {"crit": ["x"], "x": 1},
    {"b64": False, "crit": ["b64"]},
    {"x5c": ["AAAA"]},
    {"x5u": "https://api.example/chain"},
    {"x5t": "A" * 27},
    {"x5t#S256": "A" * 43},
    {"jku": "https://api.example/keys"},
    {"jwk": [tokens.public("ES256", "dpop").as_dict()] * 2},
    {"jwk": {**tokens.public("ES256", "dpop").as_dict(), "x5c": ["AAAA"]}},
    {"jwk": {**tokens.public("ES256", "dpop").as_dict(), "keys": []}},
    {"jwk": {**tokens.public("ES256", "dpop").as_dict(), "n": "AQAB", "e": "AQAB"}},
    {"jwk": {**tokens.public("ES256", "dpop").as_dict(), "kty": ["EC"]}},
    {"jwk": {**tokens.public("ES256", "dpop").as_dict(), "crv": "secp256k1"}},
]


@pytest.mark.parametrize(("changes", "code", "place"), CLAIMS, ids=lambda one: None)
def test_each_claim_of_a_proof_is_compared(changes: dict[str, Any], code: str, place: str) -> None:
    """A proof for another method, URI, time or token, or without an identity, is refused there."""
    token = bound_token()
    assert outcome(sent(token, proof(token, **changes)), token) == (code, place)


def known() -> SenderConstraints:
    """Return checks that know the client's key: its proofs are verified together with their tokens."""
    checks, token = constraints(), bound_token()
    assert outcome(sent(token, proof(token)), token, checks) == ("ok", None)
    return checks


def test_a_known_key_proves_nothing_more() -> None:
    """What is refused of a key's first proof is refused of each later one, with the same code and place."""
    checks, token = known(), bound_token()
    for changes, code, place in CLAIMS:
        made = proof(token, **changes)
        assert outcome(sent(token, made), token, checks) == (code, place), changes
    other, stolen = bound_token(sub="other"), bound_token(name="thief")
    for made, of, found in (
        (proof(token, signed_by=tokens.key("ES256", "thief")), token, (INVALID, "dpop.signature")),
        (proof(token), other, (INVALID, "dpop.ath")),
        (proof(stolen), stolen, ("binding_mismatch", "claims.cnf.jkt")),
        (proof(token), token[:-10] + "AAAAAAAAAA", ("signature_invalid", None)),
        (proof(token), bound_token(exp=NOW_S - 3600, iat=NOW_S - 7200), ("expired", "claims.exp")),
    ):
        code, place = outcome(sent(of, made), of, checks)
        assert (code, place if found[1] else None) == found
    for cnf, code in (
        ({**BOUND, "kid": "1"}, "binding_unchecked"),
        ({**BOUND, "x5t#S256": "A" * 43}, "bound_twice"),
        ({"x5t#S256": BOUND["jkt"]}, "token_not_bound"),
        ({"jkt": "\u00e9" * 43}, "malformed_claim"),
        ([BOUND], "malformed_claim"),
    ):
        bound = bound_token(cnf=cnf)
        assert outcome(sent(bound, proof(bound)), bound, checks)[0] == code, cnf
    good = proof(token, jti='\u00e9"')
    assert outcome(sent(token, good), token, checks) == ("ok", None)
    assert outcome(sent(token, good), token, checks) == ("dpop_proof_replayed", "dpop.jti")


def test_a_key_is_remembered_by_its_last_header() -> None:
    """A client that writes its header in many ways takes the place of nobody else."""
    checks, token = constraints(max_keys=2), bound_token("ES256", "k1")
    assert outcome(sent(token, proof(token, "ES256", "k1")), token, checks) == ("ok", None)
    many = bound_token()
    for kid in "abcdef":
        assert outcome(sent(many, proof(many, header={"kid": kid})), many, checks) == ("ok", None)
    assert checks.dpop is not None
    assert len(checks.dpop._keys) == 2
    header = proof(token, "ES256", "k1").partition(".")[0].encode()
    assert checks.dpop._keys.known(header) is not None


def test_a_proof_may_say_when_it_ends_and_name_its_key() -> None:
    """``exp`` and ``nbf`` within the clocks' difference hold; a kid or a use of the JWK changes nothing."""
    token = bound_token()
    jwk = {**tokens.public("ES256", "dpop").as_dict(), "use": "sig", "ext": True, "kid": "k"}
    for header, claims in (
        ({}, {"exp": NOW_S - 9, "nbf": NOW_S + 10}),
        ({}, {"exp": NOW_S + 60.5, "nbf": NOW_S - 0.5}),
        ({"kid": "k", "jwk": jwk}, {}),
    ):
        made = proof(token, header=header, **claims)
        assert outcome(sent(token, made), token) == ("ok", None)


@pytest.mark.parametrize("header", HEADERS, ids=lambda one: None)
def test_each_member_of_a_proofs_header_is_checked(header: dict[str, Any]) -> None:
    """Another type, an algorithm that is not allowed, a private, secret or broken key: refused."""
    token = bound_token()
    code, place = outcome(sent(token, proof(token, header=header)), token)
    assert code == INVALID
    assert place is not None
    assert place.startswith("dpop.header")


@pytest.mark.parametrize(
    "htu",
    [
        "HTTPS://API.EXAMPLE/orders",
        "https://api.example:443/orders",
        "https://api.example/%6frders",
        "https://api.example/./orders",
        "https://api.example/x/../orders",
        "https://api.example/orders?state=open",
        "https://api.example/orders#part",
    ],
)
def test_a_uri_is_compared_normalized(htu: str) -> None:
    """Case, default port, escapes and dot segments make no other URI; its query may be the request's own."""
    token = bound_token()
    request = sent(token, proof(token, htu=htu), query=b"state=open")
    assert outcome(request, token) == ("ok", None)


@pytest.mark.parametrize(
    "path", [None, "", "*", "/a/../orders", "/%2e/orders", "/orders\\", "/orders ", "/ord\xe9"]
)
def test_a_request_with_two_readings_is_refused(path: str | None) -> None:
    """A target that a router may read in another way has no URI to compare with."""
    token = bound_token()
    assert outcome(sent(token, proof(token), path=path), token) == (INVALID, "dpop.htu")


def test_a_proof_is_refused_where_nobody_knows_the_method() -> None:
    """No method is no match, whatever the proof holds."""
    token = bound_token()
    assert outcome(sent(token, proof(token, htm=""), method=""), token) == (INVALID, "dpop.htm")


def test_a_forged_proof_is_refused_and_uses_nothing_up() -> None:
    """A signature by another key is refused before anything is recorded; the true proof still permits."""
    token, store = bound_token(), MemoryReplayStore()
    checks = constraints(replay=store)
    forged = proof(token, signed_by=tokens.key("ES256", "thief"), jti="once")
    assert outcome(sent(token, forged), token, checks) == (INVALID, "dpop.signature")
    for changes in ({"htm": "GET"}, {"ath": "a" * 43}, {"iat": NOW_S - 3600}):
        outcome(sent(token, proof(token, jti="once", **changes)), token, checks)
    assert len(store) == 0
    good = proof(token, jti="once")
    assert outcome(sent(token, good), token, checks) == ("ok", None)
    assert outcome(sent(token, good), token, checks) == ("dpop_proof_replayed", "dpop.jti")
    other = proof(token, jti="once", htm=dpop.METHOD)
    assert outcome(sent(token, other), token, checks) == ("dpop_proof_replayed", "dpop.jti")


def test_a_thief_without_the_key_uses_no_single_use_token_up() -> None:
    """A bound token that is good for one use is not recorded for who cannot prove the key."""
    store = MemoryReplayStore()
    made = engine(replay=rapidjws.Replay(store=store))
    checks, token = constraints(), bound_token(jti="one")
    stolen = proof(token, name="thief")
    for request in (sent(token), sent(token, stolen), sent(token, is_dpop=False)):
        assert made.decide(token, now=NOW_S, sender=checks.check(request)).outcome == "deny"
    assert len(store) == 0
    assert made.decide(token, now=NOW_S, sender=checks.check(sent(token, proof(token)))).code == "ok"
    assert len(store) == 1


BOUND = {"jkt": dpop.thumbprint()}
SENT: list[tuple[str, dict[str, Any], list[str], bool, str]] = [
    # cnf of the token, proofs (their kind), scheme DPoP, code
    ("bound", {}, ["good"], True, "ok"),
    ("bound", {}, [], True, "dpop_proof_missing"),
    ("bound", {}, [], False, "dpop_proof_missing"),
    ("bound, as Bearer with its proof", {}, ["good"], False, "dpop_proof_missing"),
    ("bound, two proofs", {}, ["good", "good"], True, "malformed_request"),
    ("bound, joined proofs", {}, ["joined"], True, "malformed_request"),
    ("bound, an empty proof", {}, [""], True, "dpop_proof_missing"),
    ("bound to another key", {"cnf": {"jkt": "A" * 43}}, ["good"], True, "binding_mismatch"),
    ("unbound, Bearer", {"cnf": None}, [], False, "ok"),
    ("unbound with a proof", {"cnf": None}, ["good"], True, "token_not_bound"),
    ("unbound, Bearer with a proof", {"cnf": None}, ["good"], False, "token_not_bound"),
    ("unbound under DPoP", {"cnf": None}, [], True, "token_not_bound"),
    ("bound twice", {"cnf": {**BOUND, "x5t#S256": "A" * 43}}, ["good"], True, "bound_twice"),
    ("bound twice and more", {"cnf": {**BOUND, "x5t#S256": "", "kid": "1"}}, ["good"], True, "bound_twice"),
    ("bound to what nobody checks too", {"cnf": {**BOUND, "kid": "1"}}, ["good"], True, "binding_unchecked"),
    ("bound to a certificate", {"cnf": {"x5t#S256": "A" * 43}}, [], False, "binding_unchecked"),
    ("bound to a key by value", {"cnf": {"jwk": {}}}, [], False, "binding_unchecked"),
    ("an empty cnf", {"cnf": {}}, [], False, "binding_unchecked"),
    ("cnf is text", {"cnf": "jkt"}, [], False, "malformed_claim"),
    ("jkt is no text", {"cnf": {"jkt": 7}}, ["good"], True, "malformed_claim"),
    ("jkt is short", {"cnf": {"jkt": ""}}, ["good"], True, "malformed_claim"),
]


@pytest.mark.parametrize(
    ("claims", "proofs", "is_dpop", "code"), [row[1:] for row in SENT], ids=[row[0] for row in SENT]
)
def test_the_table_of_verdicts(claims: dict[str, Any], proofs: list[str], is_dpop: bool, code: str) -> None:
    """What a token is bound to, the scheme and the proofs decide together; nothing else permits."""
    token = bound_token(**claims)
    made = [
        {"good": proof(token), "joined": f"{proof(token)},{proof(token)}"}.get(one, one) for one in proofs
    ]
    assert outcome(sent(token, *made, is_dpop=is_dpop), token)[0] == code


def test_a_token_is_verified_before_its_binding() -> None:
    """A perfect proof makes no bad token good."""
    token = bound_token(exp=NOW_S - 3600, iat=NOW_S - 7200)
    assert outcome(sent(token, proof(token)), token)[0] == "expired"
    forged = token[:-10] + "AAAAAAAAAA"
    assert outcome(sent(forged, proof(forged)), forged)[0] == "signature_invalid"


@pytest.mark.parametrize(
    ("cnf", "claims", "code"),
    [
        ("unchecked", {}, "ok"),
        ("checked", {}, "binding_unchecked"),
        ("checked", {"cnf": None}, "ok"),
        ("required", {}, "binding_unchecked"),
        ("required", {"cnf": None}, "token_not_bound"),
    ],
)
def test_a_binding_that_nobody_checks_is_refused_where_the_issuer_binds(
    cnf: str, claims: dict[str, Any], code: str
) -> None:
    """Without constraints a cnf is refused by every entry of the engine where its issuer binds tokens."""
    made, token = engine(cnf=cnf), bound_token(**claims)
    assert made.decide(token, now=NOW_S).code == code
    (found,) = made.verify_many([token], now=NOW_S)
    assert getattr(found, "code", "ok") == code
    assert made.decide_many([(token, None, None)], now=NOW_S)[0].code == code
    if code != "ok":
        with pytest.raises(rapidjws.PolicyRefused) as refused:
            made.verify(token, now=NOW_S)
        assert refused.value.code == code
    checked = made.decide(token, now=NOW_S, sender=constraints().check(sent(token, proof(token))))
    assert checked.code == ("ok" if "cnf" not in claims else "token_not_bound")


def test_several_origins_are_chosen_by_host() -> None:
    """A proof for one name of the service holds for requests to that name alone."""
    checks = SenderConstraints(dpop=DPoP(external_origins=["https://a.example", "https://b.example:8443/v1"]))
    token = bound_token()
    for host, htu, code in (
        (b"a.example", "https://a.example/orders", "ok"),
        (b"A.example:443", "https://a.example/orders", "ok"),
        (b"b.example:8443", "https://b.example:8443/v1/orders", "ok"),
        (b"b.example", "https://b.example:8443/v1/orders", INVALID),
        (b"b.example:8443", "https://a.example/orders", INVALID),
        (b"evil.example", "https://evil.example/orders", INVALID),
    ):
        request = sent(token, proof(token, htu=htu), hosts=[host])
        assert outcome(request, token, checks)[0] == code, (host, htu)
    for hosts in ([], [b"a.example", b"b.example"]):
        request = sent(token, proof(token, htu="https://a.example/orders"), hosts=hosts)
        assert outcome(request, token, checks)[0] == INVALID


@pytest.mark.parametrize(
    "octets",
    [b"", b".", b"..", b"a.b", b"a.b.c.d", b"{}", b"e30.e30.AA", b"\xff.\xff.\xff", b"a" * 20_000],
    ids=lambda one: None,
)
def test_what_is_no_jws_is_no_proof(octets: bytes) -> None:
    """Malformed proofs are refused, by whatever is wrong with them."""
    token = bound_token()
    code, _ = outcome(sent(token, proofs=[octets]), token)
    assert code in (INVALID, "dpop_proof_missing")


def test_duplicate_members_and_other_texts_are_no_claims() -> None:
    """A proof whose payload is no strict JSON object is refused after its signature."""
    token, key = bound_token(), tokens.key("ES256", "dpop")
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": tokens.public("ES256", "dpop").as_dict()}
    for payload in (b"[]", b"", b'{"htm":"POST","htm":"GET"}', b'"text"', b"{" * 20):
        made = tokens.sign(key, header, payload)
        assert outcome(sent(token, made), token)[0] == INVALID


def test_nothing_of_a_proof_or_token_is_shown() -> None:
    """Neither the facts of a request nor a refusal show what can be replayed."""
    token = bound_token()
    made = proof(token, htm="GET")
    request = sent(token, made)
    decision = engine().decide(token, now=NOW_S, sender=constraints().check(request))
    for text in (repr(request), repr(decision), repr(constraints())):
        assert token not in text
        assert made not in text

"""Faults of other libraries about keys: confusion, empty secrets, sets, embedded keys. Ids as registered."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
import tokens
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cve_rows import row
from native_drivers import wycheproof

import rapidjws
from rapidjws import JWK, JWKSet, Verifier
from rapidjws.diagnose.subject import ExaminedVerifier

EVERY_ALG = rapidjws.ALGORITHMS


def forged_hs256(secret: bytes, kid: str | None, **header: Any) -> str:
    """Return an HS256 token whose MAC an attacker made with public bytes."""
    members = {"alg": "HS256", **({} if kid is None else {"kid": kid}), **header}
    text = (
        f"{tokens.b64url(json.dumps(members).encode())}.{tokens.b64url(json.dumps(tokens.claims()).encode())}"
    )
    return f"{text}.{tokens.b64url(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def public_texts(jwk: JWK) -> list[bytes]:
    """Return the public spellings of a key that anybody can have."""
    public = private_object(jwk).public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    found = [
        public.public_bytes(coding, spki)
        for coding in (serialization.Encoding.PEM, serialization.Encoding.DER)
    ]
    if isinstance(public, rsa.RSAPublicKey):
        form = serialization.PublicFormat.PKCS1
        found += [
            public.public_bytes(coding, form)
            for coding in (serialization.Encoding.PEM, serialization.Encoding.DER)
        ]
    found.append(public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH))
    found += [json.dumps(jwk.public().as_dict()).encode(), *(part for part in jwk.material if part)]
    return found


def private_object(jwk: JWK) -> Any:
    """Return the key as pyca/cryptography holds it."""
    from rapidjws.jose import pyca_keys

    return pyca_keys.private_key(jwk)


def refused(verifier: Verifier, token: Any) -> str:
    """Return the code of a refusal, the same by every way in."""
    code = tokens.code_of(verifier, token)
    assert code != "ok"
    return code


@row("CVE-2015-9235", "CVE-2016-10555", "CVE-2023-48238", "CVE-2024-54150", "CVE-2026-22817 / -22818")
@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("bound", [True, False])
def test_a_public_key_is_no_hmac_secret(row_id: str, alg: str, bound: bool) -> None:
    """An HS256 token MACed with any public spelling of a key is refused, even where HS256 is allowed."""
    jwk = tokens.key(alg, bound=bound)
    verifier = Verifier(jwk.public(), algorithms=EVERY_ALG)
    for secret in [*public_texts(jwk), b""]:
        for kid in (jwk.kid, None):
            assert refused(verifier, forged_hs256(secret, kid)) in ("key_alg_mismatch", "no_suitable_key")


@row("CVE-2026-44699")
@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_no_empty_hmac_key_out_of_a_public_one(row_id: str, alg: str) -> None:
    """A key without alg and without a secret never makes an empty HMAC key."""
    verifier = Verifier(tokens.public(alg, bound=False), algorithms=EVERY_ALG)
    for secret in (b"", b"\0", bytes(32)):
        assert (
            refused(verifier, forged_hs256(secret, tokens.public(alg, bound=False).kid)) == "key_alg_mismatch"
        )


def certificate(jwk: JWK) -> bytes:
    """Return a self-signed certificate in PEM."""
    import datetime

    key = private_object(jwk)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start.replace(year=2036))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def as_secret(octets: bytes) -> str:
    """Return how an oct key of these octets is taken: its code, or "ok"."""
    try:
        JWK.from_json({"kty": "oct", "k": tokens.b64url(octets)})
    except rapidjws.KeyRefused as found:
        return found.code
    return "ok"


@row(
    "CVE-2017-11424",
    "CVE-2023-48223",
    "CVE-2024-37568",
    "CVE-2026-34950",
    "CVE-2026-102268",
)
def test_a_public_text_is_refused_as_a_secret(row_id: str) -> None:
    """PEM of every kind is no secret, whatever white space or line ends stand in or around it."""
    texts = [text for text in public_texts(tokens.key("RS256")) if text.startswith((b"-----", b"ssh-"))]
    assert len(texts) == 3
    for text in [*texts, certificate(tokens.key("RS256")), certificate(tokens.key("ES256"))]:
        spellings = [
            text,
            text.replace(b"\n", b"\r"),
            text.replace(b"\n", b"\r\n"),
            text.replace(b"\n", b"\n\n"),
        ]
        spellings += [
            before + text for before in (b" ", b"\t", b"\r\n", b"\xef\xbb\xbf", b"\0", "\xa0".encode())
        ]
        assert {as_secret(spelling) for spelling in spellings} == {"key_weak"}
    assert as_secret(bytes(range(64))) == "ok"


@row("CVE-2026-48526", "CVE-2026-102273")
def test_a_jwk_text_is_refused_as_a_secret(row_id: str) -> None:
    """The JSON text of a key or of a set, wrapped or not, is no secret."""
    jwk = tokens.public("RS256").as_dict()
    for document in (jwk, {"keys": [jwk]}, {"jwks": {"keys": [jwk]}}, [jwk]):
        for text in (json.dumps(document), json.dumps(document, indent=2), " " + json.dumps(document)):
            assert as_secret(text.encode()) == "key_weak"


@row("CVE-2021-46743")
def test_a_kid_brings_its_own_alg_only(row_id: str) -> None:
    """The kid of key A with the alg of key B is refused, whoever signed."""
    keys = {alg: tokens.key(alg) for alg in ("ES256", "RS256", "EdDSA", "PS256")}
    named = [tokens.renamed(jwk.public(), f"key-{alg}") for alg, jwk in keys.items()]
    verifier = Verifier(named, algorithms=EVERY_ALG)
    for alg, jwk in keys.items():
        for other in keys:
            token = tokens.sign(jwk, {"alg": alg, "kid": f"key-{other}"}, b"{}", alg=alg)
            code = tokens.code_of(verifier, token)
            assert code == ("ok" if other == alg else "key_alg_mismatch")


@row("CVE-2022-23529")
def test_only_loaded_keys_are_keys(row_id: str) -> None:
    """What is no JWK is a mistake of the caller, never coerced to one."""
    for thing in ({"kty": "oct", "k": "AAAA"}, "secret", b"secret", None, 0):
        with pytest.raises((TypeError, AttributeError, rapidjws.RapidJWSError)):
            Verifier(thing, algorithms=["HS256"])  # type: ignore[arg-type]
        with pytest.raises((TypeError, AttributeError, rapidjws.RapidJWSError)):
            rapidjws.verify_raw("HS256", thing, b"", b"")  # type: ignore[arg-type]


@row("CVE-2022-23539")
def test_every_pair_off_the_diagonal_is_refused(row_id: str) -> None:
    """A key serves the algorithms of its type and curve, and no other one of all there are."""
    keys = {alg: tokens.key(alg, bound=False) for alg in tokens.SIGNABLE}
    pairs = 0
    for signing, jwk in keys.items():
        verifier = Verifier(jwk.public(), algorithms=EVERY_ALG)
        for alg in EVERY_ALG:
            if alg in jwk.algorithms:
                continue
            pairs += 1
            token = tokens.sign(jwk, {"alg": alg, "kid": jwk.kid}, b"{}", alg=signing)
            assert refused(verifier, token) == "key_alg_mismatch"
            with pytest.raises(rapidjws.HeaderRefused) as found:
                rapidjws.verify_raw(alg, jwk, b"message", b"signature")
            assert found.value.code == "key_alg_mismatch"
    assert pairs > 200


@row("CVE-2026-48523")
def test_the_header_cannot_rename_a_bound_key(row_id: str) -> None:
    """A key bound to a disallowed algorithm serves nothing, whatever the header says."""
    jwk = tokens.key("PS256")
    with pytest.raises(rapidjws.ConfigurationError):
        Verifier(jwk.public(), algorithms=["RS256"])
    verifier = Verifier([jwk.public(), tokens.public("RS256", "other")], algorithms=["RS256"])
    rs256 = tokens.sign(tokens.renamed(jwk, jwk.kid, alg="RS256"), {"alg": "RS256", "kid": jwk.kid}, b"{}")
    assert refused(verifier, rs256) in ("unknown_kid", "key_alg_mismatch")
    assert (
        refused(verifier, tokens.sign(jwk, {"alg": "PS256", "kid": jwk.kid}, b"{}"))
        == "algorithm_not_allowed"
    )


@row(
    "CVE-2026-45363 / -44351",
    "CVE-2026-49852",
    "CVE-2026-102266",
    "CVE-2026-107720",
    "CVE-2026-114616",
)
def test_no_empty_secret(row_id: str) -> None:
    """An empty or short secret is refused by every constructor, and never verifies."""
    for octets in (b"", b"x", bytes(31)):
        assert as_secret(octets) == "key_weak" or (octets == b"" and as_secret(octets) == "key_malformed")
    for text in (b"", b"\n"):
        with pytest.raises(rapidjws.RapidJWSError):
            JWK.from_pem(text)
        with pytest.raises(rapidjws.RapidJWSError):
            JWK.from_der(text)
    with pytest.raises(Exception):  # noqa: B017 - whatever it is, it is no key
        JWK(kty="oct", material=(b"", b""))
    empty = JWKSet.from_json('{"keys":[{"kty":"oct","k":""}]}')
    with pytest.raises(rapidjws.ConfigurationError):
        Verifier(empty, algorithms=["HS256"])
    nothing = ExaminedVerifier(empty, algorithms=["HS256"])
    assert refused(nothing, forged_hs256(b"", None)) == "no_suitable_key"


@row("CVE-2025-24976", "CVE-2026-27962")
def test_a_key_in_the_header_is_never_used(row_id: str) -> None:
    """jwk, jku, x5u and x5c of a header lead nowhere, even under a trusted kid or without any key."""
    trusted, stranger = tokens.key("ES256"), tokens.key("ES256", "stranger")
    verifier = Verifier(trusted.public(), algorithms=EVERY_ALG)
    empty = ExaminedVerifier([], algorithms=EVERY_ALG)
    der = tokens.b64url(certificate(stranger))
    for member in ({"jwk": {**stranger.public().as_dict(), "kid": trusted.kid}}, {"x5c": [der]}):
        header = {"alg": "ES256", "kid": trusted.kid, **member, "jku": "https://attacker.example/jwks"}
        token = tokens.sign(stranger, header, b"{}")
        assert refused(verifier, token) == "signature_invalid"
        assert refused(empty, token) == "unknown_kid"
        assert tokens.code_of(verifier, tokens.sign(trusted, header, b"{}")) == "ok"


@row("CVE-2025-65945", "CVE-2026-81829", "CVE-2026-89313")
def test_a_kid_is_a_name_in_the_table_only(row_id: str) -> None:
    """A kid that looks like a path, a query or a pattern is a miss, and gives no key."""
    verifier = Verifier([tokens.public("ES256"), tokens.public("RS256")], algorithms=EVERY_ALG)
    kid = str(tokens.key("ES256").kid)
    for name in (
        "../" + kid,
        kid + "?",
        kid + "#",
        "%2e%2e",
        kid + "\0",
        kid + "\n",
        " " + kid,
        kid.upper(),
        "",
        "*",
    ):
        token = tokens.sign(tokens.key("ES256"), {"alg": "ES256", "kid": name}, b"{}")
        assert refused(verifier, token) == "unknown_kid"
    large = tokens.sign(tokens.key("ES256"), {"alg": "ES256", "kid": "k" * 8192}, b"{}")
    assert refused(verifier, large) == "too_large"


@row("CVE-2026-102274", "CVE-2026-33996")
def test_bad_keys_do_not_spoil_a_set(row_id: str) -> None:
    """The good key of a set serves, however broken its neighbours are; each of them is named."""
    good = tokens.public("ES256").as_dict()
    odd: list[Any] = [None, 1, [], {}, ""]
    bad: list[Any] = [*odd[:3], {}, {"kty": "EC"}]
    bad += [
        {**good, "kid": f"bad-{name}-{index}", name: value}
        for name in ("x", "y", "crv")
        for index, value in enumerate(odd)
    ]
    jwks = JWKSet.from_json(json.dumps({"keys": [*bad, good, *bad]}))
    assert ([key.kid for key in jwks], len(jwks.skipped)) == ([good["kid"]], 2 * len(bad))
    assert tokens.code_of(Verifier(jwks, algorithms=["ES256"]), tokens.token()) == "ok"


@row("CVE-2026-89314")
def test_key_sets_in_masses_are_read_in_linear_time(row_id: str) -> None:
    """A set of 1e5 operations, keys or equal kids is read, or refused by its count, in a moment."""
    key = tokens.public("ES256").as_dict()
    start = time.perf_counter()
    assert len(JWKSet.from_json(json.dumps({"keys": [{**key, "key_ops": ["verify"] * 100_000}, key]}))) <= 1
    with pytest.raises(rapidjws.KeySetRefused):
        JWKSet.from_json(json.dumps({"keys": [{"kid": "k"}] * 100_001}))
    assert len(JWKSet.from_json(json.dumps({"keys": [{"kty": "EC", "kid": "k"}] * 50_000}))) == 0
    assert time.perf_counter() - start < 30


@row("CVE-2017-15361 (ROCA)")
def test_a_roca_key_is_refused_at_load(row_id: str) -> None:
    """The published key with the structured primes is refused before it verifies anything."""
    group = next(g for g in wycheproof("json_web_key_test.json")["testGroups"] if g["tests"][0]["tcId"] == 7)
    jwks = JWKSet.from_json(json.dumps(group.get("public") or group["private"]))
    assert [gone.code for gone in jwks.skipped] == ["key_weak"]
    assert len(jwks) == 0


@row("CVE-2022-0778")
def test_only_named_curves_and_whole_points(row_id: str) -> None:
    """Explicit curve parameters and compressed points are refused at load."""
    public = private_object(tokens.key("ES256")).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    compressed = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    head = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    explicit = (
        bytes.fromhex("3015")
        + bytes.fromhex("06072a8648ce3d0201")
        + bytes.fromhex("300a02010130050601000500")
    )
    assert JWK.from_der(der).crv == "P-256"
    for text in (head + compressed, explicit, der[:-1], der + b"\0"):
        with pytest.raises(rapidjws.KeyRefused):
            JWK.from_der(text)
    with pytest.raises(rapidjws.KeyRefused):
        JWK.from_json({"kty": "EC", "crv": "brainpoolP256r1", "x": "AA", "y": "AA"})
    assert isinstance(public, ec.EllipticCurvePublicKey)

"""The numbers and members of a JWK: every rule that refuses a key, with its code and place."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from example_keys import EC, OCT, OKP, P448, P25519, RSA, b64, refused, uint

from rapidjws.errors import KeyRefused
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwk import JWK


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"kty": None}, "key_malformed", "jwk.kty"),
        ({"kty": 1}, "key_malformed", "jwk.kty"),
        ({"kty": "ec"}, "key_unsupported", "jwk.kty"),
        ({"kty": "none"}, "key_unsupported", "jwk.kty"),
        ({"kid": 7}, "key_malformed", "jwk.kid"),
        ({"kid": None}, "key_malformed", "jwk.kid"),
        ({"kid": ""}, "key_malformed", "jwk.kid"),
        ({"kid": "k" * 513}, "key_malformed", "jwk.kid"),
        ({"kid": "\ud800"}, "key_malformed", "jwk.kid"),
        ({"use": "enc"}, "key_use_mismatch", "jwk.use"),
        ({"use": ["sig"]}, "key_malformed", "jwk.use"),
        ({"alg": None}, "key_malformed", "jwk.alg"),
        ({"alg": "ES521"}, "key_unsupported", "jwk.alg"),
        ({"alg": "none"}, "key_unsupported", "jwk.alg"),
        ({"alg": "ECDH-ES"}, "key_unsupported", "jwk.alg"),
        ({"alg": "ES384"}, "key_malformed", "jwk.alg"),
        ({"alg": "HS256"}, "key_malformed", "jwk.alg"),
        ({"alg": "RS256"}, "key_malformed", "jwk.alg"),
        ({"key_ops": "verify"}, "key_malformed", "jwk.key_ops"),
        ({"key_ops": [1]}, "key_malformed", "jwk.key_ops"),
        ({"key_ops": [["verify"]]}, "key_malformed", "jwk.key_ops"),
        ({"key_ops": ["verify", "verify"]}, "key_malformed", "jwk.key_ops"),
        ({"key_ops": [str(i) for i in range(100_000)]}, "key_malformed", "jwk.key_ops"),
        ({"key_ops": []}, "key_use_mismatch", "jwk.key_ops"),
        ({"key_ops": ["sign"]}, "key_use_mismatch", "jwk.key_ops"),
        ({"key_ops": ["deriveKey"]}, "key_use_mismatch", "jwk.key_ops"),
        ({"use": "sig", "key_ops": ["verify", "encrypt"]}, "key_use_mismatch", "jwk.key_ops"),
        ({"crv": "P-192"}, "key_unsupported", "jwk.crv"),
        ({"crv": "p-256"}, "key_unsupported", "jwk.crv"),
        ({"crv": "Ed25519"}, "key_unsupported", "jwk.crv"),
        ({"crv": None}, "key_malformed", "jwk.crv"),
        ({"crv": "P-384"}, "key_malformed", "jwk.x"),
        ({"x": None}, "key_malformed", "jwk.x"),
        ({"x": ""}, "key_malformed", "jwk.x"),
        ({"x": 1}, "key_malformed", "jwk.x"),
        ({"x": EC["x"] + "="}, "key_malformed", "jwk.x"),
        ({"x": EC["x"][:-1] + "5"}, "key_malformed", "jwk.x"),
        ({"x": EC["x"][:-1]}, "key_malformed", "jwk.x"),
        ({"x": "AA" + EC["x"]}, "key_malformed", "jwk.x"),
        ({"x": EC["x"].replace("M", "+", 1)}, "key_malformed", "jwk.x"),
        ({"x": EC["x"][:-1] + "\u00e9"}, "key_malformed", "jwk.x"),
        ({"x": " " + EC["x"][1:]}, "key_malformed", "jwk.x"),
        ({"x": EC["y"], "y": EC["x"]}, "key_malformed", "jwk.x"),
        ({"y": b64(bytes(32))}, "key_malformed", "jwk.x"),
        ({"x": b64(b"\xff" * 32)}, "key_malformed", "jwk.x"),
        ({"d": EC["x"]}, "key_private", "jwk.d"),
        ({"d": None}, "key_malformed", "jwk.d"),
    ],
    ids=str,
)
def test_an_ec_key_that_breaks_a_rule_is_refused(change: dict[str, Any], code: str, place: str) -> None:
    """Each row breaks one rule of RFC 7517 s.4 or RFC 7518 s.6.2."""
    assert refused({**EC, **change}) == (code, place)


@pytest.mark.parametrize("name", ["kty", "crv", "x", "y"])
def test_a_missing_ec_member_is_refused(name: str) -> None:
    """RFC 7518 s.6.2.1: crv, x and y must be there."""
    assert refused({key: value for key, value in EC.items() if key != name}) == (
        "key_malformed",
        f"jwk.{name}",
    )


@pytest.mark.parametrize("crv", ["P-256", "P-384", "P-521", "secp256k1"])
def test_a_coordinate_that_is_not_reduced_is_refused(crv: str) -> None:
    """x + p names the same field element in another spelling: only the reduced one is a key."""
    from rapidjws.jose._curves import WEIERSTRASS

    curve = WEIERSTRASS[crv]
    x, y = small_x_point(curve.p, curve.a, curve.b)
    size = curve.coordinate_bytes
    good = {"kty": "EC", "crv": crv, "x": b64(x.to_bytes(size, "big")), "y": b64(y.to_bytes(size, "big"))}
    assert JWK.from_json(good).crv == crv
    for name, value in (("x", x + curve.p), ("y", y + curve.p)):
        if value.bit_length() <= 8 * size:
            assert refused({**good, name: b64(value.to_bytes(size, "big"))}) == ("key_malformed", "jwk.x")


def small_x_point(p: int, a: int, b: int) -> tuple[int, int]:
    """Find a point with a small x; every p here is 3 mod 4."""
    for x in range(1, 1000):
        y2 = (x**3 + a * x + b) % p
        y = pow(y2, (p + 1) // 4, p)
        if y * y % p == y2:
            return x, y
    raise AssertionError


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1, ec.SECP256K1])
def test_ec_keys_made_elsewhere_are_read(curve: type[ec.EllipticCurve]) -> None:
    """Keys of pyca/cryptography lie on our curves: the constants are right."""
    for _ in range(5):
        members = pyca_keys._public_members(ec.generate_private_key(curve()).public_key())
        assert JWK.from_json(members).as_dict() == members


N = int.from_bytes(base64.urlsafe_b64decode(RSA["n"] + "=="), "big")
PRIMES = [p for p in range(2, 168) if all(p % q for q in range(2, p))]


def roca_modulus(bits: int) -> int:
    """Make a modulus with the structure of CVE-2017-15361; its factors need not be prime for that."""
    product = 1
    for prime in PRIMES:
        product *= prime
    half = 1 << (bits // 2 - 1)
    p = (half // product + (1 << 20)) * product + pow(65537, 123456, product)
    q = (half // product + (1 << 21)) * product + pow(65537, 654321, product)
    return p * q


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"n": uint(N >> 1 | 1 << 2046 | 1)}, "key_weak", "jwk.n"),
        ({"n": uint((1 << 1023) + 1)}, "key_weak", "jwk.n"),
        ({"n": uint((1 << 16384) + 1)}, "key_unsupported", "jwk.n"),
        ({"n": uint(N + 1)}, "key_malformed", "jwk.n"),
        ({"n": uint((1 << 2047) * 167 + 167)}, "key_weak", "jwk.n"),
        ({"n": uint(roca_modulus(2054))}, "key_weak", "jwk.n"),
        ({"n": ""}, "key_malformed", "jwk.n"),
        ({"n": "AA"}, "key_malformed", "jwk.n"),
        ({"n": 5}, "key_malformed", "jwk.n"),
        ({"e": "AQ"}, "key_weak", "jwk.e"),
        ({"e": "Ag"}, "key_weak", "jwk.e"),
        ({"e": "AQAC"}, "key_weak", "jwk.e"),
        ({"e": "AA"}, "key_malformed", "jwk.e"),
        ({"e": uint((1 << 64) + 1)}, "key_unsupported", "jwk.e"),
        ({"alg": "ES256"}, "key_malformed", "jwk.alg"),
        ({"alg": "HS256"}, "key_malformed", "jwk.alg"),
        ({"alg": "RSA-OAEP"}, "key_unsupported", "jwk.alg"),
        ({"d": "AQ"}, "key_private", "jwk.d"),
        ({"p": "AQ"}, "key_private", "jwk.p"),
        ({"oth": []}, "key_private", "jwk.oth"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_rsa_key_that_breaks_a_rule_is_refused(change: dict[str, Any], code: str, place: str) -> None:
    """Each row breaks one rule: sizes, parity, exponent, small factors, ROCA, private members."""
    assert refused({**RSA, **change}) == (code, place)


def test_the_roca_fingerprint_alone_refuses() -> None:
    """The same sizes without the structure pass: it is the fingerprint that refuses."""
    from rapidjws.jose import _rsa

    modulus = roca_modulus(2054)
    found = _rsa.fault(modulus, 65537)
    assert found is not None
    assert "CVE-2017-15361" in found.actual
    assert _rsa.fault(N, 65537) is None
    assert _rsa.fault(N, 3) is None


def test_other_moduli_carry_no_roca_fingerprint() -> None:
    """Numbers without the structure are let pass, whichever small prime tells."""
    from rapidjws.jose import _rsa

    assert not any(_rsa._is_roca(pow(3, exponent, N)) for exponent in range(1000, 3000))


def test_roca_needs_logarithms_that_agree() -> None:
    """A number that is a power of 65537 modulo each prime, but of no common exponent, is no fingerprint."""
    from rapidjws.jose import _rsa

    tables = _rsa._logarithm_tables()
    rest, modulus = 0, 1
    for index, (prime, logarithms) in enumerate(tables):
        residue = next(power for power, log in logarithms.items() if log == index % 2)
        rest += modulus * ((residue - rest) * pow(modulus, -1, prime) % prime)
        modulus *= prime
    assert all(rest % prime in logarithms for prime, logarithms in tables)
    assert not _rsa._is_roca(rest)


@pytest.mark.parametrize(
    ("crv", "number", "code"),
    [
        ("Ed25519", 0, "key_weak"),
        ("Ed25519", 1, "key_weak"),
        ("Ed25519", P25519 - 1, "key_weak"),
        ("Ed25519", 1 << 255, "key_weak"),
        ("Ed25519", 1 << 255 | 1, "key_malformed"),
        ("Ed25519", 1 << 255 | P25519 - 1, "key_malformed"),
        ("Ed25519", P25519, "key_malformed"),
        ("Ed25519", P25519 + 1, "key_malformed"),
        ("Ed25519", 2, "key_malformed"),
        ("Ed25519", (1 << 256) - 1, "key_malformed"),
        ("Ed448", 0, "key_weak"),
        ("Ed448", 1, "key_weak"),
        ("Ed448", P448 - 1, "key_weak"),
        ("Ed448", 1 << 455 | 1, "key_malformed"),
        ("Ed448", P448, "key_malformed"),
        ("Ed448", 1 << 448, "key_malformed"),
        ("Ed448", 2, "key_malformed"),
    ],
)
def test_an_edwards_point_that_is_no_key_is_refused(crv: str, number: int, code: str) -> None:
    """RFC 8032 s.5.1.3: reduced, signed rightly, on the curve; and not of small order."""
    size = 32 if crv == "Ed25519" else 57
    assert refused({"kty": "OKP", "crv": crv, "x": b64(number.to_bytes(size, "little"))}) == (code, "jwk.x")


def test_the_small_order_list_is_complete() -> None:
    """Eight times (on Ed448 four times) each of these points is the neutral element, and no other's."""
    from rapidjws.jose._curves import EDWARDS

    for crv, doublings, others in (("Ed25519", 3, range(3, 40)), ("Ed448", 2, range(3, 40))):
        curve = EDWARDS[crv]
        p, a, d = curve.p, curve.a, curve.d

        def doubled(y: int, p: int = p, a: int = a, d: int = d) -> int:
            x2 = (y * y - 1) * pow(d * y * y - a, -1, p) % p
            return (y * y - a * x2) * pow(1 - d * x2 * y * y, -1, p) % p

        def reaches_neutral(y: int, n: int = doublings) -> bool:
            for _ in range(n):
                y = doubled(y)
            return y == 1

        assert all(reaches_neutral(y) for y in curve.small_order_y)
        assert not any(reaches_neutral(y) for y in others)
    assert len(EDWARDS["Ed25519"].small_order_y) == 5
    assert len(EDWARDS["Ed448"].small_order_y) == 3


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"crv": "X25519"}, "key_unsupported", "jwk.crv"),
        ({"crv": "X448"}, "key_unsupported", "jwk.crv"),
        ({"crv": "P-256"}, "key_unsupported", "jwk.crv"),
        ({"crv": "Ed448"}, "key_malformed", "jwk.x"),
        ({"x": OKP["x"][:-3]}, "key_malformed", "jwk.x"),
        ({"alg": "Ed448"}, "key_malformed", "jwk.alg"),
        ({"d": "AA"}, "key_private", "jwk.d"),
    ],
)
def test_an_okp_key_that_breaks_a_rule_is_refused(change: dict[str, Any], code: str, place: str) -> None:
    """RFC 8037 s.2: curve, length and alg belong together."""
    assert refused({**OKP, **change}) == (code, place)


@pytest.mark.parametrize("make", [ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey])
def test_edwards_keys_made_elsewhere_are_read(make: Any) -> None:
    """Keys of pyca/cryptography pass: the constants are right."""
    for _ in range(5):
        members = pyca_keys._public_members(make.generate().public_key())
        assert JWK.from_json(members).as_dict() == members


@pytest.mark.parametrize(
    ("alg", "size"),
    [("HS256", 32), ("HS384", 48), ("HS512", 64), (None, 32)],
)
def test_a_short_secret_is_refused(alg: str | None, size: int) -> None:
    """RFC 7518 s.3.2: at least the digest's size; one byte less is refused."""
    named = {} if alg is None else {"alg": alg}
    assert JWK.from_json({"kty": "oct", "k": b64(bytes(range(size))), **named}).alg == alg
    assert refused({"kty": "oct", "k": b64(bytes(range(size - 1))), **named}) == ("key_weak", "jwk.k")
    assert refused({"kty": "oct", "k": "", **named}) == ("key_weak", "jwk.k")


PEM = b"-----BEGIN PUBLIC KEY-----\n" + b"A" * 64 + b"\n-----END PUBLIC KEY-----\n"
DISGUISES = {
    "pem": PEM,
    "pem-after-space": b" \t\r\n" + PEM,
    "pem-after-bom": b"\xef\xbb\xbf" + PEM,
    "pem-after-nul": b"\0" + PEM,
    "pem-after-nbsp": "\u00a0".encode() + PEM,
    "pem-cr-only": PEM.replace(b"\n", b"\r"),
    "pem-doubled-lines": PEM.replace(b"\n", b"\n\n"),
    "pem-lower-case": PEM.lower(),
    "pem-utf16": PEM.decode().encode("utf-16"),
    "pkcs1": PEM.replace(b"PUBLIC", b"RSA PUBLIC"),
    "certificate": PEM.replace(b"PUBLIC KEY", b"CERTIFICATE"),
    "openssh": PEM.replace(b"PUBLIC", b"OPENSSH PRIVATE"),
    "ssh2": b"---- BEGIN SSH2 PUBLIC KEY ----\n" + b"A" * 64,
    "ssh-rsa": b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ",
    "ssh-ed25519": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",
    "ssh-ecdsa": b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTI",
    "ssh-sk": b"sk-ssh-ed25519@openssh.com AAAA" + b"A" * 10,
    "ssh-wire": b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\x00\x01" + b"\x55" * 40,
    "jwk": json.dumps(EC).encode(),
    "jwk-indented": json.dumps(EC, indent=4).encode(),
    "jwks": json.dumps({"keys": [EC]}).encode(),
    "spki-rsa": bytes.fromhex("30820122300d06092a864886f70d01010105000382010f00") + b"\x55" * 20,
    "spki-ec": bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\x55" * 20,
    "spki-ed25519": bytes.fromhex("302a300506032b6570032100") + b"\x55" * 32,
    "pkcs1-der": bytes.fromhex("3082010a0282010100") + b"\x55" * 40,
}


@pytest.mark.parametrize("name", DISGUISES)
def test_a_public_text_used_as_a_secret_is_refused(name: str) -> None:
    """CVE-2017-11424 and its many children: a public key is no secret, in whatever spelling."""
    assert refused({"kty": "oct", "k": b64(DISGUISES[name])}) == ("key_weak", "jwk.k")


def test_the_refusal_of_a_secret_shows_none_of_it() -> None:
    """The message says what it reads as, never what it says."""
    with pytest.raises(KeyRefused) as caught:
        JWK.from_json({"kty": "oct", "k": b64(b"ssh-rsa hunter2hunter2hunter2hunter2")})
    assert "hunter2" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"key_ops": ["sign"]}, "key_use_mismatch", "jwk.key_ops"),
        ({"alg": "A256KW"}, "key_unsupported", "jwk.alg"),
        ({"alg": "RS256"}, "key_malformed", "jwk.alg"),
        ({"k": None}, "key_malformed", "jwk.k"),
        ({"k": "a b" * 20}, "key_malformed", "jwk.k"),
    ],
)
def test_a_secret_that_breaks_a_rule_is_refused(change: dict[str, Any], code: str, place: str) -> None:
    """RFC 7518 s.6.4: k is strict base64url, alg an HMAC algorithm."""
    assert refused({**OCT, **change}) == (code, place)


@pytest.mark.parametrize(("alg", "size"), [("ML-DSA-44", 1312), ("ML-DSA-65", 1952), ("ML-DSA-87", 2592)])
def test_an_akp_key_needs_its_alg_and_length(alg: str, size: int) -> None:
    """RFC 9964: alg is required and tells the public key's exact length."""
    good = {"kty": "AKP", "alg": alg, "pub": b64(bytes(size))}
    assert JWK.from_json(good).algorithms == (alg,)
    assert refused({**good, "pub": b64(bytes(size - 1))}) == ("key_malformed", "jwk.pub")
    assert refused({**good, "pub": b64(bytes(size + 1))}) == ("key_malformed", "jwk.pub")
    assert refused({"kty": "AKP", "pub": good["pub"]}) == ("key_malformed", "jwk.alg")
    assert refused({**good, "alg": "ES256"}) == ("key_malformed", "jwk.alg")
    assert refused({**good, "priv": b64(bytes(32))}) == ("key_private", "jwk.priv")

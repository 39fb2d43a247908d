"""Keys in DER and PEM: the forms that are read, and those that are refused."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from rapidjws.errors import KeyRefused
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwk import JWK

PAIRS = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "Ed448": ed448.Ed448PrivateKey.generate(),
}
SPKI = PublicFormat.SubjectPublicKeyInfo


def refused(form: str, data: Any, **options: Any) -> tuple[str, str | None]:
    """Return code and place of the refusal of ``from_der`` or ``from_pem``."""
    with pytest.raises(KeyRefused) as caught:
        getattr(JWK, f"from_{form}")(data, **options)
    return caught.value.code, caught.value.place


def certificate(key: Any) -> x509.Certificate:
    """Make a self-signed certificate."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rapidjws test")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    signer = ec.generate_private_key(ec.SECP256R1())
    return (x509.CertificateBuilder(name, name, key, 1, start, start + datetime.timedelta(days=1))).sign(
        signer, hashes.SHA256()
    )


@pytest.mark.parametrize("name", PAIRS)
def test_the_public_forms_give_one_key(name: str) -> None:
    """SubjectPublicKeyInfo and certificate, DER and PEM, are the same key as its JWK."""
    public = PAIRS[name].public_key()
    key = JWK.from_json(pyca_keys._public_members(public))
    assert JWK.from_der(public.public_bytes(Encoding.DER, SPKI)) == key
    assert JWK.from_pem(public.public_bytes(Encoding.PEM, SPKI)) == key
    assert JWK.from_pem(b"\n  " + public.public_bytes(Encoding.PEM, SPKI) + b"\r\n") == key
    assert JWK.from_pem(public.public_bytes(Encoding.PEM, SPKI).decode()) == key
    assert JWK.from_der(certificate(public).public_bytes(Encoding.DER)) == key
    assert JWK.from_pem(certificate(public).public_bytes(Encoding.PEM)) == key


def test_a_pkcs1_public_key_is_read() -> None:
    """RFC 8017 A.1.1."""
    public = PAIRS["RSA"].public_key()
    key = JWK.from_der(public.public_bytes(Encoding.DER, PublicFormat.PKCS1), kid="a", alg="PS256")
    assert key == JWK.from_pem(public.public_bytes(Encoding.PEM, PublicFormat.PKCS1), kid="a", alg="PS256")
    assert (key.kid, key.alg, key.algorithms) == ("a", "PS256", ("PS256",))


@pytest.mark.parametrize("name", PAIRS)
def test_a_private_key_is_read_only_when_asked(name: str) -> None:
    """A private key where a public one is due is a leak, in DER and in PEM."""
    forms = [PrivateFormat.PKCS8]
    if not name.startswith("Ed"):
        forms.append(PrivateFormat.TraditionalOpenSSL)
    for form in forms:
        der = PAIRS[name].private_bytes(Encoding.DER, form, NoEncryption())
        pem = PAIRS[name].private_bytes(Encoding.PEM, form, NoEncryption())
        assert refused("der", der) == ("key_private", "der")
        assert refused("pem", pem) == ("key_private", "pem")
        key = JWK.from_pem(pem, private=True)
        assert key == JWK.from_der(der, private=True)
        assert key.is_private
        assert key.public() == JWK.from_json(pyca_keys._public_members(PAIRS[name].public_key()))
        assert pyca_keys.private_key(key).private_numbers if name == "RSA" else True


@pytest.mark.parametrize("name", PAIRS)
def test_key_objects_come_back(name: str) -> None:
    """The bridge gives pyca the very key it was read from."""
    public = PAIRS[name].public_key()
    again = pyca_keys.public_key(JWK.from_der(public.public_bytes(Encoding.DER, SPKI)))
    assert again.public_bytes(Encoding.DER, SPKI) == public.public_bytes(Encoding.DER, SPKI)


def test_ml_dsa_keys_are_read_both_ways() -> None:
    """RFC 9964 keys in SubjectPublicKeyInfo and PKCS#8, where pyca/cryptography has them."""
    mldsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.mldsa")
    private = mldsa.MLDSA44PrivateKey.generate()
    key = JWK.from_pem(private.public_key().public_bytes(Encoding.PEM, SPKI))
    assert key.algorithms == ("ML-DSA-44",)
    der = private.public_key().public_bytes(Encoding.DER, SPKI)
    assert refused("der", der, alg="ML-DSA-65") == ("key_unsupported", "jwk.alg")
    whole = JWK.from_der(
        private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), private=True
    )
    assert whole.public() == key
    assert pyca_keys.public_key(key).public_bytes_raw() == key.material[0]
    assert JWK.from_json(whole.as_dict(private=True), private=True) == whole


def test_a_compressed_point_is_refused() -> None:
    """CVE-2022-0778: only the one canonical spelling of a point is read."""
    public = PAIRS["P-256"].public_key()
    compressed = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    head = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    assert refused("der", head + compressed) == ("key_unsupported", "der")


def tlv(tag: int, *parts: bytes) -> bytes:
    """Write one DER element of less than 64 KiB."""
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes(2, "big").lstrip(b"\0")
    return bytes([tag, 0x80 | len(size)]) + size + body


def body_of(der: bytes) -> tuple[bytes, bytes]:
    """Split off the first DER element: its body, and what follows it."""
    size, start = der[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(der[2:start], "big")
    return der[start : start + size], der[start + size :]


def explicit_p256(point: bytes) -> bytes:
    """Write a P-256 key with its curve parameters spelt out (RFC 3279 s.2.3.5)."""

    def integer(number: int) -> bytes:
        return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))

    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    field = tlv(0x30, bytes.fromhex("06072a8648ce3d0101"), integer(p))
    curve = tlv(0x30, tlv(4, (p - 3).to_bytes(32, "big")), tlv(4, b.to_bytes(32, "big")))
    base = ec.derive_private_key(1, ec.SECP256R1()).public_key()
    generator = base.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    parameters = tlv(0x30, integer(1), field, curve, tlv(4, generator), integer(n), integer(1))
    algorithm = tlv(0x30, bytes.fromhex("06072a8648ce3d0201"), parameters)
    return tlv(0x30, algorithm, tlv(3, b"\0" + point))


def test_explicit_curve_parameters_are_refused() -> None:
    """CVE-2022-0778, CVE-2020-0601: a key names its curve and does not bring its own."""
    point = PAIRS["P-256"].public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert refused("der", explicit_p256(point))[0] in {"key_unsupported", "key_malformed"}


def test_a_certificate_is_no_way_around() -> None:
    """CVE-2022-0778: the key in a certificate is held to the same one spelling."""
    public = PAIRS["P-256"].public_key()
    inside, rest = body_of(certificate(public).public_bytes(Encoding.DER))
    assert rest == b""
    tbs, signature = body_of(inside)
    spki = public.public_bytes(Encoding.DER, SPKI)
    assert spki in tbs
    assert JWK.from_der(tlv(0x30, tlv(0x30, tbs), signature)).crv == "P-256"
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    bad = tlv(0x30, tlv(0x30, tbs.replace(spki, explicit_p256(point))), signature)
    assert refused("der", bad)[0] in {"key_unsupported", "key_malformed"}


def test_numbers_that_pyca_refuses_are_a_refusal() -> None:
    """The second opinion of the library behind the bridge is one of ours."""
    stub: Any = SimpleNamespace(kty="EC", crv="P-256", alg=None, material=(bytes(64), b""))
    with pytest.raises(KeyRefused) as caught:
        pyca_keys.public_key(stub)
    assert caught.value.code == "key_malformed"


def test_other_kinds_of_keys_are_not_supported() -> None:
    """A key that signs nothing, or on a curve that JOSE does not name, is no key of ours."""
    for key in (
        x25519.X25519PrivateKey.generate().public_key(),
        dsa.generate_private_key(2048).public_key(),
        ec.generate_private_key(ec.BrainpoolP256R1()).public_key(),
    ):
        assert refused("der", key.public_bytes(Encoding.DER, SPKI)) == ("key_unsupported", "der")
    private = x25519.X25519PrivateKey.generate()
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert refused("der", der, private=True) == ("key_unsupported", "der")


def test_a_weak_key_is_refused_in_every_form() -> None:
    """The rules of JWKs hold for DER as well."""
    weak = rsa.generate_private_key(65537, 1024).public_key()
    assert refused("der", weak.public_bytes(Encoding.DER, SPKI)) == ("key_weak", "jwk.n")


def test_an_rsa_key_bound_to_pss_is_refused() -> None:
    """A SubjectPublicKeyInfo of id-RSASSA-PSS limits its use in a way a JWK cannot say."""
    der = PAIRS["RSA"].public_key().public_bytes(Encoding.DER, SPKI)
    rsa_oid = bytes.fromhex("300d06092a864886f70d0101010500")
    pss_oid = bytes.fromhex("300b06092a864886f70d01010a")
    assert rsa_oid in der
    body = der[4:].replace(rsa_oid, pss_oid)
    pss = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    assert refused("der", pss)[0] in {"key_unsupported", "key_malformed"}


@pytest.mark.parametrize("name", ["RSA", "P-256", "Ed25519"])
def test_der_that_is_cut_or_continued_is_refused(name: str) -> None:
    """One key, and not one byte more."""
    der = PAIRS[name].public_key().public_bytes(Encoding.DER, SPKI)
    for bad in (der[:-1], der + b"\0", b"", b"\x30", der[1:]):
        assert refused("der", bad)[0] in {"key_malformed", "key_unsupported"}


def pem_of(name: str) -> bytes:
    """Give a public key in PEM."""
    return bytes(PAIRS[name].public_key().public_bytes(Encoding.PEM, SPKI))


def test_pem_that_is_not_one_block_is_refused() -> None:
    """Two blocks are two keys; a block without its end, or with other characters, is none."""
    pem = pem_of("P-256")
    for bad in (
        pem + pem,
        pem.replace(b"END PUBLIC", b"END RSA PUBLIC"),
        pem.replace(b"-----END", b"----END"),
        pem[:-30],
        b"",
        pem.replace(b"M", b"*", 1),
    ):
        assert refused("pem", bad) == ("key_malformed", "pem")
    assert refused("pem", pem.replace(b"PUBLIC KEY", b"PARAMETERS")) == ("key_unsupported", "pem")
    assert refused("pem", pem.replace(b"=", b"")) == ("key_malformed", "pem")


def test_a_public_pem_is_no_private_key() -> None:
    """Who asks for a private key gets one or a refusal."""
    assert refused("pem", pem_of("P-256"), private=True) == ("key_unsupported", "pem")
    der = PAIRS["P-256"].public_key().public_bytes(Encoding.DER, SPKI)
    assert refused("der", der, private=True) == ("key_malformed", "der")


def test_an_algorithm_that_does_not_fit_is_refused() -> None:
    """The algorithm given to a key from DER is checked like one in a JWK."""
    assert refused("pem", pem_of("P-256"), alg="ES384") == ("key_malformed", "jwk.alg")
    assert refused("pem", pem_of("P-256"), alg="nope") == ("key_unsupported", "jwk.alg")


def test_a_secret_has_no_key_object() -> None:
    """The bridge is for key pairs; an HMAC secret stays out of it."""
    secret = JWK.from_json({"kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"})
    for make in (pyca_keys.public_key, pyca_keys.private_key):
        with pytest.raises(KeyRefused) as caught:
            make(secret)
        assert caught.value.code == "key_unsupported"

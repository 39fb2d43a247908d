"""What callers hand over as keys: every form that may be read is read, every other one is named."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from rapidjws import JWK, JWKSet, Verifier
from rapidjws.errors import KeyRefused, RapidJWSError
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
SPKI = PublicFormat.SubjectPublicKeyInfo
EC_PEM = EC_KEY.public_key().public_bytes(Encoding.PEM, SPKI)
EC_DER = EC_KEY.public_key().public_bytes(Encoding.DER, SPKI)
RSA_DER = RSA_KEY.public_key().public_bytes(Encoding.DER, SPKI)
RSA_PKCS1 = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
SSH = RSA_KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
SSH_BLOB = base64.b64decode(SSH.split()[1])
POINT = EC_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
PLAIN = NoEncryption()


def pem(label: str, der: bytes) -> bytes:
    """Write octets as a PEM block."""
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (
        label.encode(), base64.encodebytes(der), label.encode()
    )  # fmt: skip


def refused(call: Any, *arguments: Any, **options: Any) -> RapidJWSError:
    """Return the error that a call refuses its arguments with."""
    with pytest.raises(RapidJWSError) as caught:
        call(*arguments, **options)
    return caught.value


# --- S11 -------------------------------------------------------------------------------------------------

DISGUISES = {
    "base64-spki": base64.b64encode(EC_DER),
    "base64-spki-lines": base64.encodebytes(RSA_DER),
    "base64url-spki": base64.urlsafe_b64encode(EC_DER).rstrip(b"="),
    "base64-pkcs1": base64.b64encode(RSA_PKCS1),
    "base64-pem": base64.b64encode(EC_PEM),
    "base64-twice": base64.b64encode(base64.b64encode(EC_DER)),
    "hex-pem": EC_PEM.hex().encode(),
    "hex-der-colons": RSA_DER.hex(":").upper().encode(),
    "0x-hex-der": b"0x" + EC_DER.hex().encode(),
    "hex-of-base64": base64.b64encode(EC_DER).hex().encode(),
    "ssh-blob": SSH_BLOB,
    "ssh-blob-base64": base64.b64encode(SSH_BLOB),
    "ssh-upper": SSH.upper(),
    "ssh-long-options": b'command="/usr/bin/one",no-port-forwarding,from="10.0.0.0/8",no-pty,no-X11 ' + SSH,
    "ssh-utf16": SSH.decode().encode("utf-16"),
    "pem-lower": EC_PEM.lower(),
    "pem-literal-newlines": EC_PEM.replace(b"\n", b"\\n"),
    "jwk": json.dumps(make_key("ES256").public().as_dict()).encode(),
    "jwk-python": repr(make_key("ES256").public().as_dict()).encode(),
    "jwk-base64": base64.b64encode(json.dumps({"keys": []}).encode() + b" " * 30),
    "der-spaces": b"  " + EC_DER,
    "point": POINT,
    "point-base64": base64.b64encode(POINT),
    "data-url": b"data:application/x-pem-file;base64," + base64.b64encode(EC_PEM),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_S11_public_text_is_no_secret(name: str) -> None:
    """RFC 8725 s.2.1: what parses as a public key in any of these spellings makes no HMAC secret."""
    for alg in (None, "HS256"):
        error = refused(JWK.from_secret, DISGUISES[name], alg=alg)
        assert (error.code, error.place) == ("key_weak", "jwk.k")


def test_S11_certificates_are_no_secret() -> None:
    """A certificate is public text as well, in DER and in base64."""
    trustme = pytest.importorskip("trustme")
    cert = trustme.CA().cert_pem.bytes()
    der = base64.b64decode(b"".join(cert.split(b"\n")[1:-2]))
    for text in (cert, der, base64.b64encode(der), der.hex().encode()):
        assert refused(JWK.from_secret, text).code == "key_weak"


def test_S11_random_secrets_stay_good() -> None:
    """Random octets, as they are and in hex, base64 and base64url, are secrets; so is a long password."""
    import random

    source = random.Random(11)
    for size in (32, 48, 64, 65, 97, 133):
        for _ in range(50):
            octets = source.randbytes(size)
            for secret in (octets, octets.hex().encode(), base64.b64encode(octets), b"\x04" + octets):
                assert JWK.from_secret(secret).is_symmetric
    assert JWK.from_secret("correct horse battery staple, and more").is_symmetric


# --- S12 -------------------------------------------------------------------------------------------------

_NULL = b"\x05\x00"
_SHA = {256: 1, 384: 2, 512: 3}


def tlv(tag: int, content: bytes) -> bytes:
    """Write one DER value."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def pss_parameters(hash_bits: int | None, mask_bits: int | None, salt: int | None) -> bytes:
    """Write RSASSA-PSS-params (RFC 4055 s.3.1)."""

    def sha(bits: int) -> bytes:
        return tlv(0x30, tlv(6, bytes.fromhex("6086480165030402") + bytes((_SHA[bits],))) + _NULL)

    parts = b"" if hash_bits is None else tlv(0xA0, sha(hash_bits))
    if mask_bits is not None:
        mgf = tlv(6, bytes.fromhex("2a864886f70d010108")) + sha(mask_bits)
        parts += tlv(0xA1, tlv(0x30, mgf))
    if salt is not None:
        parts += tlv(0xA2, tlv(2, bytes((salt,))))
    return tlv(0x30, parts)


def pss_key(parameters: bytes = b"") -> bytes:
    """Write the RSA private key in PKCS#8 as id-RSASSA-PSS."""
    inner = RSA_KEY.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, PLAIN)
    algorithm = tlv(0x30, tlv(6, bytes.fromhex("2a864886f70d01010a")) + parameters)
    return tlv(0x30, b"\x02\x01\x00" + algorithm + tlv(4, inner))


def test_S12_a_pss_key_signs_pss_only() -> None:
    """RFC 4055 s.1.2: a key of type id-RSASSA-PSS never signs RS256; without parameters alg must be named."""
    der = pss_key()
    assert refused(JWK.from_der, der, private=True).place == "der.alg"
    for alg in ("RS256", "RS512", "ES256"):
        assert refused(JWK.from_der, der, private=True, alg=alg).code == "key_unsupported"
    for text, call in ((der, JWK.from_der), (pem("PRIVATE KEY", der), JWK.from_pem)):
        key = call(text, private=True, alg="PS384")
        assert key.algorithms == ("PS384",)
        assert refused(LocalSigner, key, "RS256").code == "key_alg_mismatch"
        token = sign_compact(b"x", LocalSigner(key))
        assert Verifier(key.public(), algorithms=["PS384"]).verify(token).payload == b"x"


@pytest.mark.parametrize(
    ("parameters", "alg"),
    [
        (pss_parameters(256, 256, 32), "PS256"),
        (pss_parameters(384, 384, 48), "PS384"),
        (pss_parameters(512, 512, 64), "PS512"),
        (pss_parameters(256, 256, None), "PS256"),
        (pss_parameters(256, 256, 31), "PS256"),
        (pss_parameters(256, 256, 33), None),
        (pss_parameters(256, 384, 32), None),
        (pss_parameters(None, None, None), None),
        (pss_parameters(256, None, 32), None),
        (pss_parameters(None, 256, 20), None),
    ],
)
def test_S12_parameters_restrict_hash_and_salt(parameters: bytes, alg: str | None) -> None:
    """RFC 4055 s.3.1: hash, mask hash and salt of the key decide its one algorithm, or that there is none."""
    der = pss_key(parameters)
    if alg is None:
        for named in (None, "PS256", "PS512"):  # some of them pyca does not even read
            assert refused(JWK.from_der, der, private=True, alg=named).code in (
                "key_unsupported",
                "key_malformed",
            )
        return
    assert JWK.from_der(der, private=True).algorithms == (alg,)
    other = "PS512" if alg != "PS512" else "PS256"
    assert refused(JWK.from_der, der, private=True, alg=other).code == "key_unsupported"


# --- C2, C3, C7 ------------------------------------------------------------------------------------------


def test_C2_keys_are_taken_from_every_buffer_and_mapping() -> None:
    """Text, bytes, bytearray, memoryview and mappings are one conversion at every constructor."""
    from types import MappingProxyType

    members = make_key("ES256", kid="a").public().as_dict()
    one, several = JWK.from_json(members), JWKSet.from_json({"keys": [members]})
    text = json.dumps(members).encode()
    document = b'{"keys":[%s]}' % text
    for form in (bytes, bytearray, memoryview, bytes.decode):
        assert JWK.from_json(form(text)) == one
        assert JWKSet.from_json(form(document)).keys == several.keys
        assert JWK.from_pem(form(EC_PEM)) == JWK.from_der(EC_DER)
    assert JWK.from_der(bytearray(EC_DER)) == JWK.from_der(memoryview(EC_DER)) == JWK.from_der(EC_DER)
    assert JWK.from_json(MappingProxyType(members)) == one
    assert JWKSet.from_json(MappingProxyType({"keys": [members]})).keys == several.keys


@pytest.mark.parametrize(
    "value", [None, [], 5, 1.5, object(), True, ()], ids=lambda value: type(value).__name__
)
def test_C2_anything_else_is_refused_with_what_to_pass(value: Any) -> None:
    """A wrong type is an error of this package that names the type found."""
    for call in (JWK.from_json, JWK.from_pem, JWK.from_der, JWK.from_secret, JWKSet.from_json):
        error = refused(call, value)
        assert error.actual == type(value).__name__
        assert error.expected
    assert "JWK.from_json" in str(refused(JWKSet.from_json, make_key("ES256").public().as_dict()))
    with pytest.raises(TypeError, match="keys: several JWK values"):
        JWKSet(value if value not in ([], ()) else None)


@pytest.mark.parametrize(
    ("label", "der", "found"),
    [
        ("RSA PUBLIC KEY", EC_DER, "a PUBLIC KEY"),
        ("CERTIFICATE", EC_DER, "a PUBLIC KEY"),
        ("PUBLIC KEY", RSA_PKCS1, "an RSA PUBLIC KEY"),
        ("RSA PUBLIC KEY", RSA_DER, "a PUBLIC KEY"),
    ],
)
def test_C3_a_label_that_names_another_kind_is_refused(label: str, der: bytes, found: str) -> None:
    """RFC 7468 s.2: the label says what the content is; both are named."""
    error = refused(JWK.from_pem, pem(label, der))
    assert (error.code, error.actual) == ("key_malformed", found)
    assert label in str(error.expected)


def test_C3_private_labels_are_compared_as_well() -> None:
    """PKCS#8, PKCS#1 and SEC 1 under each other's label are refused, under their own they are read."""
    forms = {
        "PRIVATE KEY": EC_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN),
        "EC PRIVATE KEY": EC_KEY.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, PLAIN),
        "RSA PRIVATE KEY": RSA_KEY.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, PLAIN),
    }
    for label in forms:
        for kind, der in forms.items():
            if label == kind:
                assert JWK.from_pem(pem(label, der), private=True).is_private
            else:
                error = refused(JWK.from_pem, pem(label, der), private=True)
                assert (error.code, str(error.actual).split(" ", 1)[1]) == ("key_malformed", kind)


def test_C7_text_around_a_block_is_permitted() -> None:
    """RFC 7468 s.2: explanatory text, a byte order mark, other line ends and blanks do not matter."""
    key = JWK.from_pem(EC_PEM)
    around = b"subject=CN = example\nissuer=CN = example\n\n" + EC_PEM + b"\nwritten by hand: do not edit\n"
    for text in (
        around,
        b"\xef\xbb\xbf" + EC_PEM,
        EC_PEM.replace(b"\n", b"\r\n"),
        EC_PEM.replace(b"\n", b" \n"),
    ):
        assert JWK.from_pem(text) == key


def test_C7_parameters_before_an_ec_key_are_permitted() -> None:
    """The two blocks that `openssl ecparam -genkey` writes are one key."""
    parameters = pem("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107"))
    sec1 = EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, PLAIN)
    assert JWK.from_pem(parameters + sec1, private=True).is_private
    assert refused(JWK.from_pem, parameters + sec1).code == "key_private"
    assert refused(JWK.from_pem, sec1 + parameters, private=True).code == "key_malformed"
    assert "a curve" in str(refused(JWK.from_pem, parameters))


ENCRYPTED = EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
LEGACY = b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n"  # noqa: E501
SSH2 = b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n"
OPENSSH = ED_KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, PLAIN)


@pytest.mark.parametrize(
    ("text", "private", "found", "next_step"),
    [
        (SSH, False, "an SSH public key", "ssh-keygen -e -m PKCS8"),
        (SSH2, False, "SSH2", "ssh-keygen -i"),
        (OPENSSH, True, "OPENSSH PRIVATE KEY", "ssh-keygen -p -m PKCS8"),
        (ENCRYPTED, True, "ENCRYPTED PRIVATE KEY", "openssl pkey"),
        (LEGACY, True, "encrypted EC PRIVATE KEY", "openssl pkey"),
        (EC_PEM + EC_PEM, False, "2 blocks: PUBLIC KEY, PUBLIC KEY", "the one that is meant"),
        (EC_PEM + EC_PEM[:60], False, "one without its END", "the one that is meant"),
        (EC_PEM[:60], False, "without its END", "exactly one"),
        (EC_PEM.replace(b"\n", b""), False, "one line", "a line break after BEGIN"),
        (EC_PEM.replace(b"\n", b"\\n"), False, "backslash and n", "replace"),
        (EC_PEM.decode().encode("utf-16"), False, "UTF-16", "UTF-8"),
        (base64.b64encode(EC_DER), False, "base64 of DER", "JWK.from_der"),
        (EC_DER, False, "DER", "JWK.from_der"),
        (b'{"kty":"EC"}', False, "JSON", "JWK.from_json"),
        (pem("CERTIFICATE REQUEST", b"0\x00"), False, "CERTIFICATE REQUEST", "openssl req"),
        (pem("X509 CERTIFICATE", b"0\x00"), False, "X509 CERTIFICATE", "openssl x509"),
        (b"hello", False, "no BEGIN line", "PEM block"),
    ],
)  # fmt: skip
def test_C7_what_is_no_such_text_is_named_with_the_next_step(
    text: bytes, private: bool, found: str, next_step: str
) -> None:
    """The message says what the text is and the command that makes a readable one of it, uncut."""
    error = refused(JWK.from_pem, text, private=private)
    assert found in str(error.actual)
    assert next_step in str(error.expected)
    assert str(error.expected) in str(error).replace("\\\\n", "\\n")


# --- N12 -------------------------------------------------------------------------------------------------


def test_N12_a_secret_is_taken_from_text_and_octets() -> None:
    """Text stands for its UTF-8 octets, nothing is decoded; the length decides which HS it serves."""
    secret = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"
    key = JWK.from_secret(secret, alg="HS256", kid="k")
    assert (key.alg, key.kid, key.material[0]) == ("HS256", "k", secret.encode())
    assert JWK.from_secret(secret.encode()).algorithms == ("HS256", "HS384", "HS512")
    assert JWK.from_secret(bytes(range(32))).algorithms == ("HS256",)
    assert refused(JWK.from_secret, bytes(range(31))).code == "key_weak"
    assert refused(JWK.from_secret, bytes(range(47)), alg="HS384").code == "key_weak"
    assert refused(JWK.from_secret, secret, alg="RS256").code == "key_malformed"
    assert secret not in repr(key)


def test_pss_signatures_of_a_restricted_key_are_pss() -> None:
    """The signature of a restricted key verifies under pyca's own PSS reading."""
    key = JWK.from_der(pss_key(pss_parameters(256, 256, 32)), private=True)
    signature = LocalSigner(key).sign(b"x")
    RSA_KEY.public_key().verify(
        signature, b"x", padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
    )
    assert KeyRefused.__mro__[1] is RapidJWSError

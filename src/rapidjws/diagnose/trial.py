"""Trial verifications for explanation: another algorithm, digest, padding or secret. Never a verdict.

MACs are compared in constant time. Source: RFC 7518 s.3, RFC 8017 s.8.1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import RapidJWSError
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwa import ALGORITHM_TABLE, algorithms_for_key
from rapidjws.jose.jwk import JWK
from rapidjws.verify.key_table import prepare

if TYPE_CHECKING:
    from rapidjws.diagnose.notes import Notes

_DIGESTS: Final = ("SHA256", "SHA384", "SHA512", "SHA1")


def unbound(jwk: JWK) -> JWK:
    """Return a key that is bound to no algorithm, for trials with others."""
    if jwk.alg is None or jwk.kty == "AKP":
        return jwk
    members = {k: v for k, v in jwk.as_dict(private=jwk.is_symmetric).items() if k not in ("alg", "key_ops")}
    return JWK.from_json(members)


def verifies(notes: Notes, jwk: JWK, alg: str, signing_input: bytes, signature: bytes) -> bool:
    """Say whether a signature verifies; False as well where the budget is spent or the key does not fit."""
    row = ALGORITHM_TABLE.get(alg)
    if row is None or not notes.spend("Ed448" if jwk.crv == "Ed448" else alg, row.kind, len(signing_input)):
        return False
    try:
        known = notes.prepared.get((id(jwk), alg))
        if known is None:
            key = jwk if alg in jwk.algorithms else unbound(jwk)
            known = notes.prepared[id(jwk), alg] = (jwk, prepare(key, alg))
        return known[1].verify(signing_input, signature)
    except RapidJWSError:
        return False


def other_algorithms(jwk: JWK, alg: str) -> tuple[str, ...]:
    """Return the algorithms that a key's type and curve could serve beside one."""
    names = algorithms_for_key(jwk.kty, jwk.crv, None)
    return tuple(name for name in names if name != alg and {name, alg} != {"EdDSA", jwk.crv})


def foreign(
    notes: Notes, jwk: JWK, alg: str, signing_input: bytes, signature: bytes
) -> tuple[str, str] | None:
    """Return the cause and words where the signature verifies with parameters that no alg has, or None."""
    row = ALGORITHM_TABLE[alg]
    if row.kind not in ("ecdsa", "rsa_pss", "rsa_pkcs1") or row.kty != jwk.kty:
        return None
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    try:
        public = pyca_keys.public_key(jwk)
    except (RapidJWSError, ValueError):
        return None
    own = str(row.digest).upper()

    def good(*how: Any, octets: bytes = signature) -> bool:
        if not notes.spend(alg, row.kind, len(signing_input)):
            return False
        try:
            public.verify(octets, signing_input, *how)
        except (InvalidSignature, ValueError):
            return False
        return True

    if row.kind == "rsa_pss":
        for mask in (own, "SHA1", "SHA256"):
            pss = padding.PSS(padding.MGF1(getattr(hashes, mask)()), padding.PSS.AUTO)
            if good(pss, getattr(hashes, own)()):
                return "pss_parameters", f"verifies with mask digest {mask} and any salt length"
        return None
    for name in _DIGESTS:
        if name == own:
            continue
        digest = getattr(hashes, name)()
        if row.kind == "rsa_pkcs1":
            if name == "SHA1" and good(padding.PKCS1v15(), digest):
                return "other_digest", f"verifies with {name}"
            continue
        der = _der(signature)
        if der is not None and _ecdsa_good(good, digest, der):
            return "other_digest", f"verifies with {name}"
    return None


def _ecdsa_good(good: Any, digest: Any, der: bytes) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec

    return bool(good(ec.ECDSA(digest), octets=der))


def _der(signature: bytes) -> bytes | None:
    """Return R || S in DER."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    half = len(signature) // 2
    if not half or len(signature) % 2:
        return None
    return encode_dss_signature(
        int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    )


def secrets(secret: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Yield an HMAC secret as the other side may have read it, each with its cause."""
    yield "secret_newline", "with a line feed at the end", secret + b"\n"
    yield "secret_newline", "with CR LF at the end", secret + b"\r\n"
    if secret[-1:] in b"\r\n":
        yield "secret_newline", "without the line break at the end", secret.rstrip(b"\r\n")
    yield "secret_encoding", "base64url text of the secret", base64.urlsafe_b64encode(secret).rstrip(b"=")
    yield "secret_encoding", "padded base64url text of the secret", base64.urlsafe_b64encode(secret)
    yield "secret_encoding", "base64 text of the secret", base64.b64encode(secret)
    yield "secret_encoding", "hexadecimal text of the secret", secret.hex().encode()
    text = secret.strip().translate(bytes.maketrans(b"-_", b"+/"))
    for words, decode in (("decoded from base64", _b64), ("decoded from hexadecimal", _hex)):
        other = decode(text)
        if other is not None:
            yield "secret_encoding", words, other
    yield "secret_encoding", "read as UTF-8 text of Latin-1", secret.decode("latin-1").encode()


def _b64(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None


def _hex(text: bytes) -> bytes | None:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return None


def mac_is(secret: bytes, alg: str, signing_input: bytes, signature: bytes) -> bool:
    """Say whether a MAC is the one of a secret, in constant time."""
    digest = ALGORITHM_TABLE[alg].digest
    if ALGORITHM_TABLE[alg].kind != "hmac" or digest is None:
        return False
    return hmac.compare_digest(hmac.digest(secret, signing_input, digest), signature)


def public_texts(jwk: JWK) -> Iterator[bytes]:
    """Yield the public texts of a key that an attacker uses as HMAC secret (RFC 8725 s.2.1)."""
    from cryptography.hazmat.primitives import serialization

    if jwk.is_symmetric:
        return
    try:
        public = pyca_keys.public_key(jwk)
    except (RapidJWSError, ValueError):
        return
    formats = [serialization.PublicFormat.SubjectPublicKeyInfo]
    if jwk.kty == "RSA":
        formats.append(serialization.PublicFormat.PKCS1)
    for form in formats:
        pem = public.public_bytes(serialization.Encoding.PEM, form)
        yield pem
        yield pem.rstrip()
        yield pem.replace(b"\n", b"\r\n")
        yield public.public_bytes(serialization.Encoding.DER, form)
    yield from (part for part in jwk.material if part)


def confused(notes: Notes, jwk: JWK, alg: str, signing_input: bytes, signature: bytes) -> bool:
    """Say whether a MAC was made with a public key as its secret."""
    row = ALGORITHM_TABLE.get(alg)
    if row is None or row.kind != "hmac" or not notes.spend(alg, "rsa_pkcs1", 8 * len(signing_input)):
        return False
    return any(mac_is(text, alg, signing_input, signature) for text in public_texts(jwk))


def digest_of(data: bytes) -> str:
    """Return a SHA-256 digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()

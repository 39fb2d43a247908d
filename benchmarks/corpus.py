"""Make the benchmark corpus: keys, JWKS, PEM and tokens with the verdict each must get.

One folder an algorithm holds `tokens.tsv` (a line a token: verdict, tab, token), `public.jwk.json`,
`jwks.json`, `public.pem` (or `secret.bin` for HMAC). `corpus.json` beside them names the issuer, the
audience and the counts that every peer has to reach. Keys, claims and order come from fixed seeds; only
RSA-PSS salts and ML-DSA signatures differ between two runs. Never used for anything but measuring: the
private keys follow from the seeds.

    python corpus.py FOLDER [--algs ES256,RS256] [--tokens 128]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ALGORITHMS = ("HS256", "RS256", "PS256", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "ML-DSA-44")
ISSUER = "https://issuer.example"
AUDIENCE = "https://api.example"
SUBJECT = "user-8f14e45fceea167a"
KID = "2026-11-key-1"
ISSUED_AT_S = 1_767_225_600  # 2026-01-01
EXPIRES_AT_S = 4_102_444_800  # 2100-01-01: the corpus must not age
EXPIRED_AT_S = 1_767_229_200
SIGNING_INPUT_BYTES = 400
BAD_KINDS = ("tampered", "expired", "audience", "issuer")

_CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm, str]] = {
    "ES256": (ec.SECP256R1(), hashes.SHA256(), "P-256"),
    "ES384": (ec.SECP384R1(), hashes.SHA384(), "P-384"),
    "ES512": (ec.SECP521R1(), hashes.SHA512(), "P-521"),
    "ES256K": (ec.SECP256K1(), hashes.SHA256(), "secp256k1"),
}


def b64u(octets: bytes) -> str:
    """Encode as unpadded base64url. Source: RFC 7515 section 2."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def seed_bytes(label: str, size: int) -> bytes:
    """Give `size` bytes that follow from the label alone."""
    return hashlib.shake_256(b"rapidjws benchmark " + label.encode()).digest(size)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A benchmark key: what signs, its public JWK, and its PEM (None for HMAC)."""

    alg: str
    private: Any
    jwk: dict[str, str]
    pem: bytes | None

    def sign(self, message: bytes) -> bytes:
        """Sign as JWS wants it. Source: RFC 7518 section 3, RFC 8037 section 3.1, RFC 9964."""
        key = self.private
        if self.alg == "HS256":
            mac = hmac.HMAC(key, hashes.SHA256())
            mac.update(message)
            return mac.finalize()
        if self.alg == "RS256":
            return bytes(key.sign(message, padding.PKCS1v15(), hashes.SHA256()))
        if self.alg == "PS256":
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
            return bytes(key.sign(message, pss, hashes.SHA256()))
        if self.alg in _CURVES:
            curve, digest, _ = _CURVES[self.alg]
            size = (curve.key_size + 7) // 8
            r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest, deterministic_signing=True)))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        return bytes(key.sign(message))

    def token(self, claims: dict[str, Any]) -> str:
        """Sign the claims as a JWS in compact serialization."""
        header = {"alg": self.alg, "kid": self.jwk["kid"], "typ": "JWT"}
        parts = [b64u(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)]
        signing_input = ".".join(parts)
        return f"{signing_input}.{b64u(self.sign(signing_input.encode()))}"


def make_key(alg: str, kid: str = KID) -> SigningKey:
    """Make the key of this algorithm and kid; the same one every time."""
    label = f"{alg} {kid}"
    common = {"kid": kid, "alg": alg, "use": "sig"}
    if alg == "HS256":
        secret = seed_bytes(label, 32)
        return SigningKey(alg=alg, private=secret, jwk={"kty": "oct", "k": b64u(secret), **common}, pem=None)
    if alg in ("RS256", "PS256"):
        rsa_key = _rsa_private_key(label, 2048)
        n = rsa_key.public_key().public_numbers().n
        return _asymmetric(
            alg, rsa_key, {"kty": "RSA", "n": b64u(n.to_bytes(256, "big")), "e": "AQAB"}, common
        )
    if alg in _CURVES:
        curve, _, crv = _CURVES[alg]
        size = (curve.key_size + 7) // 8
        scalar = int.from_bytes(seed_bytes(label, size + 8), "big") % (1 << (curve.key_size - 1)) + 1
        ec_key = ec.derive_private_key(scalar, curve)
        point = ec_key.public_key().public_numbers()
        xy = {"x": b64u(point.x.to_bytes(size, "big")), "y": b64u(point.y.to_bytes(size, "big"))}
        return _asymmetric(alg, ec_key, {"kty": "EC", "crv": crv, **xy}, common)
    if alg == "EdDSA":
        ed_key = ed25519.Ed25519PrivateKey.from_private_bytes(seed_bytes(label, 32))
        x = ed_key.public_key().public_bytes_raw()
        return _asymmetric(alg, ed_key, {"kty": "OKP", "crv": "Ed25519", "x": b64u(x)}, common)
    if alg == "ML-DSA-44":
        from cryptography.hazmat.primitives.asymmetric import mldsa

        pq_key = mldsa.MLDSA44PrivateKey.from_seed_bytes(seed_bytes(label, 32))
        pub = pq_key.public_key().public_bytes_raw()
        return _asymmetric(alg, pq_key, {"kty": "AKP", "pub": b64u(pub)}, common)
    raise ValueError(f"no benchmark key for {alg}")


def _asymmetric(alg: str, private: Any, members: dict[str, str], common: dict[str, str]) -> SigningKey:
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return SigningKey(alg=alg, private=private, jwk={**members, **common}, pem=pem)


def _rsa_private_key(label: str, bits: int) -> rsa.RSAPrivateKey:
    """Make an RSA key from seeded primes (a generator in a library would not be repeatable)."""
    draws = random.Random(seed_bytes(label, 32))
    e = 65537
    while True:
        p, q = _prime(draws, bits // 2), _prime(draws, bits // 2)
        phi = (p - 1) * (q - 1)
        if p != q and phi % e:
            break
    d = pow(e, -1, phi)
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(e, p * q),
    )
    return numbers.private_key()


def _prime(draws: random.Random, bits: int) -> int:
    """Draw a number that passes a Fermat test to eight bases, top two bits set."""
    while True:
        candidate = draws.getrandbits(bits) | (3 << (bits - 2)) | 1
        if any(candidate % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)):
            continue
        if all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3, 5, 7, 11, 13, 17, 19)):
            return candidate


def make_claims(draws: random.Random, header_bytes: int, issuer: str = ISSUER) -> dict[str, Any]:
    """Make a claims set that brings the signing input near SIGNING_INPUT_BYTES."""
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": SUBJECT,
        "aud": AUDIENCE,
        "iat": ISSUED_AT_S,
        "exp": EXPIRES_AT_S,
        "jti": str(uuid.UUID(int=draws.getrandbits(128), version=4)),
        "scope": "",
    }
    free = (SIGNING_INPUT_BYTES - header_bytes - 1) * 3 // 4
    short = free - len(json.dumps(claims, separators=(",", ":")))
    claims["scope"] = ("read:orders write:orders read:profile read:invoices " * 8)[: max(short, 0)].rstrip()
    return claims


def make_tokens(key: SigningKey, count: int, bad: int, issuer: str = ISSUER) -> Iterator[tuple[str, str]]:
    """Yield `count` pairs of verdict and token, of which `bad` are to be refused, spread evenly.

    The kinds of refusal take turns: a flipped bit in the signed payload, expired, another audience,
    another issuer.
    """
    draws = random.Random(seed_bytes(f"claims {key.alg} {key.jwk['kid']}", 32))
    header_bytes = len(key.token({}).split(".", 1)[0])
    every = count // bad if bad else count + 1
    for index in range(count):
        claims = make_claims(draws, header_bytes, issuer)
        if not bad or index % every != every - 1:
            yield "ok", key.token(claims)
            continue
        kind = BAD_KINDS[index // every % len(BAD_KINDS)]
        yield kind, _bad_token(key, claims, kind)


def _bad_token(key: SigningKey, claims: dict[str, Any], kind: str) -> str:
    if kind == "expired":
        return key.token({**claims, "exp": EXPIRED_AT_S})
    if kind == "audience":
        return key.token({**claims, "aud": "https://other.example"})
    if kind == "issuer":
        return key.token({**claims, "iss": "https://stranger.example"})
    header, payload, signature = key.token(claims).split(".")
    changed = json.dumps({**claims, "sub": "admin"}, separators=(",", ":")).encode()
    assert b64u(changed) != payload
    return f"{header}.{b64u(changed)}.{signature}"


def write_algorithm(folder: Path, alg: str, tokens: int, bad: int) -> dict[str, Any]:
    """Write one algorithm's folder; return its entry for corpus.json."""
    key = make_key(alg)
    place = folder / alg
    place.mkdir(parents=True, exist_ok=True)
    lines = list(make_tokens(key, tokens, bad))
    (place / "tokens.tsv").write_text("".join(f"{verdict}\t{token}\n" for verdict, token in lines))
    (place / "public.jwk.json").write_text(json.dumps(key.jwk))
    (place / "jwks.json").write_text(json.dumps({"keys": [key.jwk]}))
    if key.pem is None:
        (place / "secret.bin").write_bytes(key.private)
    else:
        (place / "public.pem").write_bytes(key.pem)
    verdicts = [verdict for verdict, _ in lines]
    return {
        "tokens": len(verdicts),
        "accept": verdicts.count("ok"),
        "refuse": len(verdicts) - verdicts.count("ok"),
        "tampered": verdicts.count("tampered"),
        "token_bytes": sum(len(token) for _, token in lines) // len(lines),
        "signing_input_bytes": sum(token.rindex(".") for _, token in lines) // len(lines),
    }


def write_corpus(folder: Path, algs: tuple[str, ...] = ALGORITHMS, tokens: int = 128, bad: int = 8) -> None:
    """Write the corpus into the folder.

    Args:
        folder: made if it is not there.
        algs: names out of ALGORITHMS.
        tokens: how many for each algorithm.
        bad: how many of them must be refused; a multiple of four keeps the kinds level.
    """
    entries = {alg: write_algorithm(folder, alg, tokens, bad) for alg in algs}
    about = {"issuer": ISSUER, "audience": AUDIENCE, "subject": SUBJECT, "kid": KID, "algorithms": entries}
    (folder / "corpus.json").write_text(json.dumps(about, indent=1) + "\n")


def main() -> None:
    """Write a corpus from the command line."""
    parser = argparse.ArgumentParser(description="make the benchmark corpus")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--algs", default=",".join(ALGORITHMS))
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--bad", type=int, default=8)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    write_corpus(args.folder, tuple(args.algs.split(",")), args.tokens, args.bad)


if __name__ == "__main__":
    main()

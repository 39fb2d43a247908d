"""Tokens of ours for a partner: good ones, and bad ones that it must refuse, each with its reason."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rapidjws import _native
from rapidjws.contract.kit import Contract, load, private_key, write_samples
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK
from rapidjws.signing import LocalSigner
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets
from rapidjws.testing.keys import make_key

Expectation = Literal["accepted", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One token and what its receiver must do with it.

    Attributes:
        name: A stable word.
        token: The token.
        expect: ``"accepted"`` or ``"refused"``.
        why: What is tried.
        check_at: The time to judge it at, seconds since the epoch, or None for any time of its life.
    """

    name: str
    token: str = field(repr=False)
    expect: Expectation
    why: str
    check_at: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the sample as JSON values."""
        made: dict[str, Any] = {
            "name": self.name,
            "expect": self.expect,
            "why": self.why,
            "token": self.token,
        }
        return made if self.check_at is None else {**made, "check_at": self.check_at}


class Maker:
    """A maker of samples with one key.

    Args:
        key: Our private test key.
        alg: Its algorithm.
        contract: What was agreed.
        now_s: The time they are made for.
        iss: Whose tokens.
        audience: For whom.
    """

    def __init__(
        self, key: JWK, alg: str, contract: Contract, now_s: int, *, iss: str, audience: str
    ) -> None:
        self.key, self.alg, self.contract, self.now_s = key, alg, contract, now_s
        self.signer = LocalSigner(key, alg)
        self._iss, self._audience = iss, audience

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return good claims with changes."""
        now_s = self.now_s
        made = {"iss": self._iss, "aud": self._audience, "sub": "contract-test", "iat": now_s,
                "exp": now_s + self.contract.lifetime_s, **changes}  # fmt: skip
        return {name: value for name, value in made.items() if value is not None}

    def token(
        self,
        claims: dict[str, Any] | None = None,
        *,
        signer: Any = None,
        payload: bytes = b"",
        kid: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> str:
        """Return a token.

        Args:
            claims: By default good ones.
            signer: Who signs instead of the key.
            payload: The payload instead of claims.
            kid: The kid instead of the key's.
            extra: Further header members.
        """
        members = {"alg": self.alg, "kid": kid or self.key.kid, "typ": "JWT", **(extra or {})}
        text = json.dumps(self.claims() if claims is None else claims, separators=(",", ":"))
        return assemble(header_octets(members), payload or text.encode(), signer or self.signer)


def make_samples(maker: Maker) -> list[Sample]:
    """Return the samples of the checklist for one key."""
    contract, now_s = maker.contract, maker.now_s
    leeway_s = contract.leeway_s
    good = maker.token()
    head, body, signature = good.split(".")
    other = LocalSigner(make_key(maker.alg, kid=str(maker.key.kid), crv=maker.key.crv), maker.alg)
    changed = json.dumps(maker.claims(sub="admin"), separators=(",", ":")).encode()
    none = _native.b64url_encode(b'{"alg":"none","typ":"JWT"}').decode()
    spaced = json.dumps(maker.claims(), indent=1).encode()
    inside, outside = max(leeway_s // 2, 0), leeway_s + 30
    refused = [
        ("expired", maker.token(maker.claims(iat=now_s - 90_000, exp=now_s - 86_400)), "exp lies a day back"),
        ("skew-outside", maker.token(maker.claims(exp=now_s - outside, iat=now_s - outside - 60)),
         f"expired {outside} s ago; the leeway is {leeway_s} s"),
        ("tampered", f"{head}.{_native.b64url_encode(changed).decode()}.{signature}", "sub was changed"),
        ("wrong-key", maker.token(signer=other), "signed by another key under the same kid"),
        ("unsecured", f"{none}.{body}.", "alg none, no signature"),
        ("unknown-kid", maker.token(kid="nobody-has-it", signer=other), "a key nobody published"),
        ("wrong-audience", maker.token(maker.claims(aud="https://elsewhere.example")), "meant for another"),
        ("wrong-issuer", maker.token(maker.claims(iss="https://elsewhere.example")), "iss is not ours"),
        ("line-break-inside", f"{good[:40]}\n{good[40:]}", "white space inside"),
        ("padded", ".".join(part + "=" * (-len(part) % 4) for part in good.split(".")), "padded base64url"),
        ("unknown-crit", maker.token(extra={"crit": ["x-unknown"], "x-unknown": 1}), "an unknown extension"),
    ]  # fmt: skip
    confused = _confused(maker, body)
    if confused is not None:
        refused.append(("alg-substitution", confused, "HS256 with the public key as secret"))
    accepted = [
        ("valid", good, "a good token"),
        ("valid-whitespace", maker.token(payload=spaced), "white space in the payload is signed with it"),
        ("skew-inside", maker.token(maker.claims(exp=now_s - inside + 1, iat=now_s - 200)),
         f"expired {inside} s ago; the leeway is {leeway_s} s"),
    ]  # fmt: skip
    if leeway_s < 4:
        accepted.pop()
    return [
        *(Sample(name=n, token=t, expect="accepted", why=w, check_at=now_s) for n, t, w in accepted),
        *(Sample(name=n, token=t, expect="refused", why=w, check_at=now_s) for n, t, w in refused),
    ]


def _confused(maker: Maker, body: str) -> str | None:
    """Return a token MACed with our public key as secret, or None for a shared secret."""
    if maker.key.is_symmetric or ALGORITHM_TABLE[maker.alg].kind == "mldsa":
        return None
    from cryptography.hazmat.primitives import serialization

    pem = pyca_keys.public_key(maker.key.public()).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    members = json.dumps({"alg": "HS256", "kid": maker.key.kid}, separators=(",", ":")).encode()
    octets = f"{_native.b64url_encode(members).decode()}.{body}"
    mac = hmac.digest(bytes(pem), octets.encode(), hashlib.sha256)
    return f"{octets}.{_native.b64url_encode(mac).decode()}"


def send(folder: Path, *, now_s: int | None = None) -> list[Sample]:
    """Write our samples into a partner's folder.

    Args:
        folder: The partner's folder.
        now_s: The time they are made for; by default now.

    Returns:
        The samples; names of further algorithms carry the algorithm.

    Raises:
        ConfigurationError: ``configuration_invalid``: no contract, or no keys.
    """
    contract = load(folder)
    moment = int(time.time()) if now_s is None else now_s
    samples: list[Sample] = []
    for index, alg in enumerate(contract.algorithms):
        maker = Maker(private_key(folder, alg), alg, contract, moment,
                      iss=contract.our_iss, audience=contract.our_audience)  # fmt: skip
        made = make_samples(maker)
        if index:
            made = [
                Sample(name=f"{one.name}-{alg}", token=one.token, expect=one.expect, why=one.why,
                       check_at=one.check_at)
                for one in made if one.name in ("valid", "tampered", "wrong-key")
            ]  # fmt: skip
        samples += made
    write_samples(folder, [sample.as_dict() for sample in samples])
    return samples

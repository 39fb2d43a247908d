"""An issuer for tests: it has keys, publishes a JWKSet and signs claims."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rapidjws._checks import checked, refused
from rapidjws.jose.jwks import JWKSet
from rapidjws.signing import LocalSigner
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets
from rapidjws.testing.keys import make_key

if TYPE_CHECKING:
    from collections.abc import Mapping


class FakeIssuer:
    """An issuer that signs tokens as a real one would.

    Args:
        iss: Its name in ``iss``.
        algorithms: One key is made for each; the first is the default.
        audience: The ``aud`` of its tokens, or None for none.
        lifetime_s: Seconds from ``iat`` to ``exp``.
    """

    @checked
    def __init__(
        self, iss: str, *algorithms: str, audience: str | None = "https://api.example", lifetime_s: int = 300
    ) -> None:
        self.iss = iss
        self.audience = audience
        self.lifetime_s = lifetime_s
        names = algorithms or ("ES256",)
        keys = [make_key(alg, kid=f"{iss.rpartition('/')[2]}-{alg.lower()}") for alg in names]
        self.signers = {alg: LocalSigner(key, alg) for alg, key in zip(names, keys, strict=True)}

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Return the algorithms it signs with."""
        return tuple(self.signers)

    @property
    def jwks(self) -> JWKSet:
        """Return its public keys (and secrets, which it shares with whoever asks here)."""
        return JWKSet(keys=tuple(signer.public for signer in self.signers.values()))

    @checked
    def claims(self, now_s: int, **changes: Any) -> dict[str, Any]:
        """Return a good claims set; a change to None removes the claim."""
        claims: dict[str, Any] = {
            "iss": self.iss,
            "sub": "user-1",
            "aud": self.audience,
            "iat": now_s,
            "exp": now_s + self.lifetime_s,
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    @checked
    def token(
        self, claims: Mapping[str, Any], *, alg: str | None = None, header: Mapping[str, Any] | None = None
    ) -> str:
        """Return a signed token.

        Args:
            claims: The Claims Set.
            alg: One of its algorithms; by default the first.
            header: Further protected header parameters; they replace the signer's own.
        """
        name = alg or self.algorithms[0]
        if name not in self.signers:
            raise refused("alg", f"one of {', '.join(self.algorithms)}", name)
        signer = self.signers[name]
        payload = json.dumps(claims, separators=(",", ":")).encode()
        members = {"alg": signer.alg, "kid": signer.kid, **(header or {})}
        return assemble(header_octets(members), payload, signer)  # unchecked: tests need bad headers too

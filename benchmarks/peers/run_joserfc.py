"""joserfc: the key imported once, claims checked by its registry (decode alone checks none)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError
from protocol import Corpus, Peer, Unsupported, serve

KEY_TYPES = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


def prepare(corpus: Corpus) -> Peer:
    """Import the key and make one claims registry."""
    if corpus.alg not in jws.JWSRegistry.algorithms:
        raise Unsupported(f"joserfc has no {corpus.alg}")
    key: Any = corpus.octets("secret.bin") if corpus.symmetric else corpus.text("public.pem")
    prepared = jwk.import_key(key, KEY_TYPES[corpus.alg[:2]])
    allowed = [corpus.alg]
    rules = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": corpus.issuer},
        aud={"essential": True, "value": corpus.audience},
        exp={"essential": True},
    )
    decode, validate = jwt.decode, rules.validate

    def one(token: str) -> Any:
        claims = decode(token, prepared, algorithms=allowed).claims
        validate(claims)
        return claims

    return Peer(one=one, refusals=(JoseError, ValueError))


serve("joserfc", version("joserfc"), prepare)

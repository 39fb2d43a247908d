"""jwcrypto: JWT with check_claims and the list of allowed algorithms."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from jwcrypto import jwk, jwt
from jwcrypto.common import JWException
from protocol import Corpus, Peer, Unsupported, serve


def prepare(corpus: Corpus) -> Peer:
    """Import the JWK once; each token makes a JWT object, as the library has it."""
    try:
        key = jwk.JWK.from_json(corpus.text("public.jwk.json"))
    except JWException as reason:
        raise Unsupported(f"jwcrypto has no {corpus.alg}: {reason}") from None
    allowed = [corpus.alg]
    checks = {"iss": corpus.issuer, "aud": corpus.audience, "exp": None}

    def one(token: str) -> Any:
        return json.loads(jwt.JWT(jwt=token, key=key, algs=allowed, check_claims=checks).claims)

    return Peer(one=one, refusals=(JWException, ValueError))


serve("jwcrypto", version("jwcrypto"), prepare)

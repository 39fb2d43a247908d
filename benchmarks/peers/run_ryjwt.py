"""ryjwt (Rust, aws-lc): a key object that holds algorithms, issuer and audience.

Variants: `single` takes the key from PEM or secret bytes; `jwks` from the JWK set, so the kid is looked up.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import ryjwt
from protocol import Corpus, Peer, Unsupported, serve


def prepare(corpus: Corpus) -> Peer:
    """Make the key object once; `decode` is its bound method."""
    policy: dict[str, Any] = {
        "algorithms": [corpus.alg],
        "audience": corpus.audience,
        "issuer": corpus.issuer,
    }
    try:
        if corpus.symmetric:
            if corpus.variant == "jwks":
                raise Unsupported("ryjwt takes no shared secret from a JWK set")
            key: Any = ryjwt.SecretKey(corpus.octets("secret.bin"), **policy)
        elif corpus.variant == "jwks":
            key = ryjwt.PublicKey.from_jwks(corpus.text("jwks.json"), **policy)
        else:
            key = ryjwt.PublicKey(corpus.text("public.pem"), **policy)
    except (ValueError, ryjwt.InvalidKeyError) as reason:
        raise Unsupported(f"ryjwt has no {corpus.alg}: {reason}") from None
    return Peer(one=key.decode, refusals=(ryjwt.InvalidTokenError,))


serve("ryjwt", version("ryjwt"), prepare)

"""python-jose on its pyca/cryptography backend, the key constructed once."""

from __future__ import annotations

import jose
from jose import jwk, jwt
from jose.constants import ALGORITHMS
from jose.exceptions import JOSEError
from protocol import Corpus, Peer, Unsupported, serve


def prepare(corpus: Corpus) -> Peer:
    """Construct the key object once."""
    if corpus.alg not in ALGORITHMS.SUPPORTED:
        raise Unsupported(f"python-jose has no {corpus.alg}")
    key = corpus.octets("secret.bin") if corpus.symmetric else corpus.octets("public.pem")
    prepared = jwk.construct(key, corpus.alg)
    decode = jwt.decode
    allowed, audience, issuer = [corpus.alg], corpus.audience, corpus.issuer

    def one(token: str) -> dict[str, object]:
        return decode(token, prepared, algorithms=allowed, audience=audience, issuer=issuer)

    return Peer(one=one, refusals=(JOSEError,))


serve("python-jose", jose.__version__, prepare)

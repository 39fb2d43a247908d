"""PyJWT: one PyJWT object, the key prepared once by the library's own algorithm object."""

from __future__ import annotations

from typing import Any

import jwt
from protocol import Corpus, Peer, Unsupported, serve


def prepare(corpus: Corpus) -> Peer:
    """Prepare the key as a pyca object, so that no call parses it again."""
    algorithms = jwt.algorithms.get_default_algorithms()
    if corpus.alg not in algorithms:
        raise Unsupported(f"PyJWT has no {corpus.alg}")
    key: Any = corpus.octets("secret.bin") if corpus.symmetric else corpus.text("public.pem")
    prepared = algorithms[corpus.alg].prepare_key(key)
    decode = jwt.PyJWT().decode
    allowed, audience, issuer = [corpus.alg], corpus.audience, corpus.issuer

    def one(token: str) -> Any:
        return decode(token, prepared, algorithms=allowed, audience=audience, issuer=issuer)

    return Peer(one=one, refusals=(jwt.InvalidTokenError,))


serve("PyJWT", jwt.__version__, prepare)

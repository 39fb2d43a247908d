"""OxyJWT (Rust, aws-lc): PyJWT's face, with a DecodingKey made once."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import oxyjwt
from protocol import Corpus, Peer, Unsupported, serve


def _key(corpus: Corpus) -> Any:
    makers = {
        "HS": oxyjwt.DecodingKey.from_secret,
        "RS": oxyjwt.DecodingKey.from_rsa_pem,
        "PS": oxyjwt.DecodingKey.from_rsa_pem,
        "ES": oxyjwt.DecodingKey.from_ec_pem,
        "Ed": oxyjwt.DecodingKey.from_ed_pem,
    }
    if corpus.alg[:2] not in makers:
        raise Unsupported(f"OxyJWT has no {corpus.alg}")
    return makers[corpus.alg[:2]](corpus.octets("secret.bin" if corpus.symmetric else "public.pem"))


def prepare(corpus: Corpus) -> Peer:
    """Make the DecodingKey once and try it on the first token."""
    decode = oxyjwt.decode
    allowed, audience, issuer = [corpus.alg], corpus.audience, corpus.issuer
    try:
        key = _key(corpus)
        decode(corpus.tokens[0], key, algorithms=allowed, audience=audience, issuer=issuer)
    except (ValueError, oxyjwt.InvalidKeyError, oxyjwt.InvalidAlgorithmError) as reason:
        raise Unsupported(f"OxyJWT has no {corpus.alg}: {reason}") from None

    def one(token: str) -> Any:
        return decode(token, key, algorithms=allowed, audience=audience, issuer=issuer)

    return Peer(one=one, refusals=(oxyjwt.InvalidTokenError,))


serve("OxyJWT", version("oxyjwt"), prepare)

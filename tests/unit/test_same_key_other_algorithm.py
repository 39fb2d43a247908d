"""One RSA key for two algorithms: what verified under one is refused under the other, on every path."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import tokens
from tokens import NOW_S

import rapidjws
from rapidjws import Engine, _native
from rapidjws.verify.key_table import IssuerKeys

ALGS = ("PS256", "RS256")
KEY = tokens.renamed(tokens.key("RS256"), "rsa", alg=None)


def compact(alg: str, signed_by: str) -> str:
    """Return a token whose header says ``alg`` and whose signature is ``signed_by``'s over it."""
    from rapidjws.signing import LocalSigner

    good = tokens.token(alg, jwk=KEY)
    signing_input = good.rpartition(".")[0]
    return f"{signing_input}.{tokens.b64url(LocalSigner(KEY, signed_by).sign(signing_input.encode()))}"


def expected(alg: str, signed_by: str) -> str:
    """Return the verdict: a signature is good under its own algorithm only."""
    return "ok" if alg == signed_by else "signature_invalid"


def cases() -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield every order of good and crossed tokens under both algorithms."""
    yield from itertools.permutations(itertools.product(ALGS, ALGS))


@pytest.mark.parametrize("acceleration", ["openssl", "portable", "auto"])
def test_T1_one_key_two_algorithms(acceleration: str) -> None:
    """In every order, good and crossed, single and in batches: no signature crosses."""
    made = {pair: compact(*pair) for pair in itertools.product(ALGS, ALGS)}
    engine = Engine(tokens.issuer(keys=[KEY.public()], algorithms=ALGS), workers=1, acceleration=acceleration)
    for order in cases():
        singles = []
        for pair in order:
            try:
                engine.verify(made[pair], NOW_S)
                singles.append("ok")
            except rapidjws.RapidJWSError as refused:
                singles.append(refused.code)
        assert singles == [expected(*pair) for pair in order]
        for many in (order, order * 40):
            results = engine.verify_many([made[pair] for pair in many], NOW_S)
            codes = ["ok" if isinstance(one, rapidjws.VerifiedJWS) else one.code for one in results]
            assert codes == [expected(*pair) for pair in many]


@pytest.mark.parametrize("accelerated", [False, True])
@pytest.mark.parametrize("order", list(itertools.permutations(ALGS)), ids="-".join)
def test_T1_the_native_key_keeps_algorithms_apart(accelerated: bool, order: tuple[str, str]) -> None:
    """The core's own key with its kept contexts: a good signature, then a crossed one."""
    from rapidjws.signing import LocalSigner

    prepared = {one.alg: one for one in IssuerKeys([KEY.public()], ALGS).prepared}
    assert prepared["PS256"].native is prepared["RS256"].native
    signed = {alg: LocalSigner(KEY, alg).sign(b"input") for alg in ALGS}
    for alg in order:
        for signed_by in (alg, *ALGS):
            good = prepared[alg].verify(b"input", signed[signed_by], accelerated=accelerated)
            assert good is (alg == signed_by), (alg, signed_by)
    assert _native.error_queue_len() == 0

"""A DPoP token with its proof, against a plain ES256 token: both decided by one engine, in turn.

Each proof is new and is recorded; the client's key was used before, as a client's is. Of each round the
fastest decision of each kind counts, and of all rounds the median ratio. Both signatures are verified in one
call of the core, and together where both keys have a table of one curve.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from statistics import median
from time import monotonic, perf_counter_ns, sleep
from typing import Final

import pytest

from rapidjws import Engine, Issuer
from rapidjws.sender import DPoP, SenderConstraints, SenderRequest
from rapidjws.sender.proof_keys import TABLE_DUE
from rapidjws.signing import LocalSigner
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets
from rapidjws.testing import FakeIssuer, make_key

AT_MOST: Final = 2.2
"""Of what a plain token costs."""

ROUNDS: Final = 15
CALLS: Final = 40
WARM: Final = 200
NOW_S: Final = 1_800_000_000
ORIGIN: Final = "https://api.example"
LIMIT_S: Final = 60

pytestmark = pytest.mark.usefixtures("one_cpu")


def proofs(client: LocalSigner, token: bytes, count: int) -> list[bytes]:
    """Return so many proofs, each with a jti of its own."""
    ath = urlsafe_b64encode(hashlib.sha256(token).digest()).rstrip(b"=").decode()
    header = header_octets({"typ": "dpop+jwt", "alg": "ES256", "jwk": client.public.as_dict()})
    claims = {"htm": "GET", "htu": f"{ORIGIN}/orders", "iat": NOW_S, "ath": ath}
    made = (json.dumps({"jti": f"a-proof-{at}", **claims}).encode() for at in range(count))
    return [assemble(header, one, client).encode() for one in made]


@pytest.mark.timeout(300)
def test_a_token_with_its_proof_costs_at_most_so_much_more() -> None:
    """Two signatures, the claims of both and the record of the proof, within AT_MOST of one token."""
    issuer, client = FakeIssuer("https://issuer.example", "ES256"), LocalSigner(make_key("ES256"), "ES256")
    engine = Engine(
        Issuer(issuer.iss, keys=issuer.jwks, algorithms=["ES256"], audience=issuer.audience),
        workers=1,
        precompute_threshold=32,
    )
    checks = SenderConstraints(dpop=DPoP(external_origins=ORIGIN, max_age_s=3600))
    cnf = {"jkt": client.public.thumbprint()}
    plain = issuer.token(issuer.claims(NOW_S, scope="orders")).encode()
    bound = issuer.token(issuer.claims(NOW_S, cnf=cnf)).encode()
    waiting = iter(proofs(client, bound, WARM + TABLE_DUE + ROUNDS * CALLS + 8))

    def decided() -> int:
        request = SenderRequest(bound, True, [next(waiting)], "GET", "/orders", b"")
        start = perf_counter_ns()
        decision = engine.decide(bound, now=NOW_S, sender=checks.check(request))
        took_ns = perf_counter_ns() - start
        assert decision.code == "ok"
        return took_ns

    def plainly() -> int:
        start = perf_counter_ns()
        decision = engine.decide(plain, now=NOW_S)
        took_ns = perf_counter_ns() - start
        assert decision.code == "ok"
        return took_ns

    for _ in range(WARM):
        decided()
        plainly()
    assert checks.dpop is not None
    header = next(waiting).partition(b".")[0]
    end_s = monotonic() + LIMIT_S
    while not checks.dpop._keys.key_of(header).has_table and monotonic() < end_s:
        sleep(0.05)  # a thread beside the requests builds it
    ratios = []
    for _ in range(ROUNDS):
        alone = min(plainly() for _ in range(CALLS))
        both = min(decided() for _ in range(CALLS))
        ratios.append(both / alone)
    print(f"a DPoP token costs {median(ratios):.2f} times a plain ES256 token")
    assert median(ratios) <= AT_MOST
    forged = next(waiting)[:-8] + b"AAAAAAAA"
    request = SenderRequest(bound, True, [forged], "GET", "/orders", b"")
    assert engine.decide(bound, now=NOW_S, sender=checks.check(request)).code == "dpop_proof_invalid"

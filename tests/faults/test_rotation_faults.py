"""F16 to F25: rotation, floods, listeners, outages."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from issuers import Setup, now_s, setup, wait_for

from rapidjws import Engine, JWKSet, TokenCache
from rapidjws import Issuer as Rules
from rapidjws.errors import RapidJWSError
from rapidjws.keys import Answer, Freshness, RemoteJWKS, Transport
from rapidjws.testing import FakeIssuer, Fault

RETRIES: dict[str, Any] = {"retry_min_s": 0.05, "retry_max_s": 0.1}
SHORT: dict[str, Any] = {"min_ttl_s": 0.2, "max_ttl_s": 0.2, **RETRIES}


def test_F16_a_key_that_disappears_is_unusable_from_the_swap_on() -> None:
    """A kid that left the set stops verifying within the set's life, also in the cache."""
    with setup(fresh=SHORT, engine={"cache": TokenCache()}) as at:
        at.ready()
        old = at.token()
        assert at.code(old) == at.code(old) == "ok"
        at.issuer.rotate(keep=0)
        wait_for(lambda: at.reported("key_removed"))
        assert at.code(old) == "unknown_kid"
        assert at.code(at.token()) == "ok"


def test_F17_a_kid_bound_to_new_material_is_reported() -> None:
    """The new key takes the old one's place, and an event says that a kid was re-bound."""
    with setup() as at:
        at.ready()
        old, kid = at.token(), at.issuer.published[0]["kid"]
        at.issuer.rotate(kid=kid, keep=0)
        assert at.source.refresh()
        assert at.code(old) == "signature_invalid"
        assert at.code(at.token()) == "ok"
        assert [event.kid for event in at.reported("kid_rebound")] == [kid]


def test_F18_a_kid_bound_to_another_algorithm() -> None:
    """Tokens of the old algorithm fail under the kid's new key, without a look at the signature."""
    with setup() as at:
        at.ready()
        old, kid = at.token(), at.issuer.published[0]["kid"]
        at.issuer.rotate(kid=kid, keep=0, alg="EdDSA")
        assert at.source.refresh()
        assert at.code(old) == "key_alg_mismatch"
        assert at.code(at.token()) == "ok"


def test_F19_an_unknown_kid_causes_one_refresh_a_cooldown() -> None:
    """The token is refused at once; a refresh follows in the background, the next after the cool-down."""
    with setup(unknown={"cooldown_s": 0.5}) as at:
        at.ready()
        at.issuer.rotate()
        token = at.token()
        assert at.code(token) == "unknown_kid"  # at once: the fetch is in the background
        wait_for(lambda: at.code(token) == "ok")
        at.issuer.rotate()
        assert at.code(at.token(), wait_s=5) == "ok"
        times = [request.at_s for request in at.issuer.requests]
        assert len(times) == 3
        assert all(later - earlier >= 0.3 for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize("is_down", [False, True])
def test_F20_a_flood_of_random_kids(is_down: bool) -> None:
    """Whatever the rate, unknown kids cause a refresh a cool-down, also after failures, and no memory."""
    with setup(unknown={"cooldown_s": 0.3, "negative_max": 100}) as at:
        at.ready()
        if is_down:
            at.issuer.always(Fault(status=500))
        good, claims = at.token(), at.issuer.claims(now_s())
        part = at.issuer.token(claims, header={"kid": "x"}).partition(".")[2]
        import base64

        def junk(number: int) -> str:
            header = f'{{"alg":"ES256","kid":"junk-{number}"}}'.encode()
            return f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.{part}"

        started = time.monotonic()
        for number in range(3000):
            assert at.code(junk(number)) == "unknown_kid"
            if number % 100 == 0:
                assert at.code(good) == "ok"
        spent_s = time.monotonic() - started
        assert len(at.issuer.requests) <= 2 + spent_s / 0.3
        assert len(at.source._limiter) <= 164


def test_F20_a_flood_cannot_starve_a_rotation() -> None:
    """With the budget used up by junk, a real rotation still arrives: by the scheduled refresh."""
    rules = {"min_ttl_s": 1.0, "max_ttl_s": 1.0}
    limits = {"cooldown_s": 0.05, "budget": 2, "budget_period_s": 1e6}
    with setup(fresh=rules, unknown=limits) as at:
        at.ready()
        for number in range(8):
            at.code(at.issuer.token(at.issuer.claims(now_s()), header={"kid": f"junk-{number}"}))
            time.sleep(0.06)
        at.issuer.rotate()
        token = at.token()
        wait_for(lambda: at.code(token) == "ok")


def test_F20_a_kid_that_a_fresh_set_lacks_causes_nothing_more() -> None:
    """The same absent kid is answered from memory."""
    with setup(unknown={"cooldown_s": 0.05}) as at:
        at.ready()
        token = at.issuer.token(at.issuer.claims(now_s()), header={"kid": "absent"})
        time.sleep(0.06)
        assert at.code(token) == "unknown_kid"
        wait_for(lambda: len(at.issuer.requests) == 2 and len(at.source._limiter._missing) == 1)
        for _ in range(5):
            time.sleep(0.06)
            assert at.code(token, wait_s=1) == "unknown_kid"
        assert len(at.issuer.requests) == 2


def test_F21_single_flight_at_expiry() -> None:
    """Many threads at the end of a life cause one fetch, and none of them waits for it."""
    with setup(fresh={"min_ttl_s": 0.3, "max_ttl_s": 0.3, "refresh_at": 1.0}) as at:
        at.ready()
        at.issuer.always(Fault(delay_s=0.5))
        token, slow = at.token(), []

        def hammer() -> None:
            for _ in range(20):
                started = time.monotonic()
                at.engine.verify(token)
                slow.append(time.monotonic() - started)
                time.sleep(0.02)

        threads = [threading.Thread(target=hammer) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        times = [request.at_s for request in at.issuer.requests]
        assert all(later - earlier > 0.45 for earlier, later in itertools.pairwise(times[1:]))
        assert sorted(slow)[len(slow) // 2] < 0.1


def test_F22_an_older_answer_never_overwrites_a_newer() -> None:
    """Of two answers out of order the one asked for later stays."""
    old, new = FakeIssuer("https://a.example/old", "ES256"), FakeIssuer("https://a.example/new", "ES256")
    bodies = {one: Answer(status=200, headers={}, body=_body(one.jwks)) for one in (old, new)}
    source = RemoteJWKS("https://issuer.example/", fetch=lambda *_: bodies[old])
    source._apply(2, 2000.0, bodies[new], {})
    source._apply(1, 1000.0, bodies[old], {})
    assert source.status().kids == (new.jwks.keys[0].kid,)


def test_F22_a_push_during_a_fetch_is_followed_by_another() -> None:
    """What was announced while an older question was under way is asked for again."""
    with setup() as at:
        at.ready()
        at.issuer.script(Fault(delay_s=0.3, body=b'{"keys": []}'))
        at.source.invalidate()
        wait_for(lambda: len(at.issuer.requests) == 2)
        at.issuer.rotate()
        at.source.invalidate()
        wait_for(lambda: at.code(at.token()) == "ok", 3)


def _body(keys: JWKSet) -> bytes:
    import json

    return json.dumps(keys.as_dict()).encode()


def test_F23_a_listener_that_re_enters_and_fails() -> None:
    """Listeners may fetch, revoke and raise: nothing deadlocks, nothing is called twice."""
    calls: list[str] = []

    class Listener:
        def changed(self) -> None:
            calls.append("changed")
            at.source.invalidate()
            at.engine.revoke(jti="x")
            raise RuntimeError("a listener's fault")

    listener = Listener()
    with setup() as at:
        at.ready()
        at.source.subscribe(listener.changed)
        at.issuer.rotate()
        assert at.source.refresh()
        assert calls == ["changed"]
        assert at.reported("swap_failed")
        assert at.code(at.token()) == "ok"


def test_F24_cold_start_during_an_outage(tmp_path: Path) -> None:
    """Without keys nothing is accepted and nothing is ready; a kept last good set has both."""
    kept = tmp_path / "keys.json"
    with setup(source={"last_good": kept}, fresh=RETRIES) as at:
        at.ready()
        wait_for(kept.exists)
        token = at.token()
        at.issuer.server.down()
        assert _restarted(at, kept).verify(token)
        cold = _restarted(at, None)
        assert not cold.ready
        with pytest.raises(RapidJWSError) as refused:
            cold.verify(token)
        assert (refused.value.code, refused.value.outcome) == ("keys_unavailable", "indeterminate")
        whole = kept.read_bytes()
        spoiled = [whole.replace(b"max", b"min", 1)[:-20], whole[:100], b"", whole.replace(b'"x', b'"y', 1)]
        digest = whole.index(b"sha256") + 12
        for octets in [*spoiled, whole[:digest] + b"00" + whole[digest + 2 :]]:
            kept.write_bytes(octets)
            assert not _restarted(at, kept).ready
        kept.write_bytes(whole)
        kept.chmod(0o666)
        assert not _restarted(at, kept).ready, "a file that others may write"
        kept.chmod(0o600)
        assert _restarted(at, kept).ready
        time.sleep(0.05)
        assert not _restarted(at, kept, last_good_max_age_s=0.01).ready
        at.issuer.server.up()
        wait_for(lambda: cold.ready, 3)


def _restarted(at: Setup, kept: Path | None, **settings: Any) -> Engine:
    """Build an engine as a new process would."""
    source = RemoteJWKS(
        at.issuer.url,
        transport=Transport(ca=at.issuer.ca_pem),
        last_good=kept,
        freshness=Freshness(**RETRIES),
        **settings,
    )
    return Engine(Rules(at.issuer.iss, keys=source, algorithms=["ES256"], audience=at.issuer.audience))


def test_F25_stale_to_a_limit_then_indeterminate() -> None:
    """During an outage the old set serves up to the limit, then nothing is known; the return heals."""
    rules = {**SHORT, "stale_limit_s": 1.0}
    with setup(fresh=rules) as at:
        at.ready()
        token = at.token()
        at.issuer.server.down()
        wait_for(lambda: at.reported("fetch_failed"))
        ends = time.monotonic() + (at.source.status().stale_in_s or 0)
        while time.monotonic() < ends - 0.4:
            assert at.code(token) == "ok"
        wait_for(lambda: at.code(token) == "keys_stale")
        assert time.monotonic() > ends - 0.1
        assert not at.engine.ready
        assert (at.source.status().age_s or 0) >= 1.0
        at.issuer.server.up()
        wait_for(lambda: at.code(token) == "ok")

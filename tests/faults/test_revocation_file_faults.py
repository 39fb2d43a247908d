"""The file of revocations when calls fail, and when several write it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from faulty_system import Killed, calls_of, faulty
from issuers import code, now_s, wait_for
from processes import run_python

from rapidjws import DependencyUnavailable, Engine, Issuer, Revocation
from rapidjws.stores import RevocationFile
from rapidjws.testing import FakeIssuer

ISSUER = FakeIssuer("https://a.example", "ES256", lifetime_s=3600)


def engine_of(store: Any) -> Engine:
    """Make an engine on a revocation store."""
    rules = Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=ISSUER.audience)
    return Engine(rules, revocations=store)


def token_of(jti: str = "a") -> str:
    """Return a good token."""
    return ISSUER.token(ISSUER.claims(now_s(), jti=jti))


@pytest.mark.parametrize("fault", ["kill", "kill after", "short", "ENOSPC", "EIO"])
def test_a_revocation_file_may_fail_at_every_call(tmp_path: Path, fault: str) -> None:
    """Whichever call fails: the old list or the new one is there, an error is reported, a repeat mends it."""
    a, b = Revocation(jti="a"), Revocation(jti="b")
    sample = RevocationFile(tmp_path / "x.json")
    sample.add(a)
    for at in range(len(calls_of(lambda: sample.add(b)))):
        path = tmp_path / f"{at}.json"
        store = RevocationFile(path)
        store.add(a)
        try:
            with faulty(at, fault):
                store.add(b)
        except (Killed, DependencyUnavailable):
            assert list(RevocationFile(path).load()) in ([a], [a, b])
            store.add(b)
        assert list(RevocationFile(path).load()) == [a, b]
        assert list(tmp_path.glob(f".{path.name}.*.tmp")) == []


def test_S17_a_file_changed_by_two_is_known_to_both(tmp_path: Path) -> None:
    """An engine that changes the file takes over what another wrote into it just before."""
    path = tmp_path / "revocations.json"
    first, second = engine_of(RevocationFile(path, poll_s=3600)), engine_of(RevocationFile(path, poll_s=3600))
    first.revoke(jti="a")
    second.revoke(jti="b")
    assert {one.jti for one in second.revocations()} == {"a", "b"}


def test_a_file_that_could_not_be_read_is_read_again(tmp_path: Path) -> None:
    """A list that was unreadable at one look is taken over at a later one, though it did not change since."""
    path = tmp_path / "revocations.json"
    engine = engine_of(RevocationFile(path, poll_s=0.05))
    RevocationFile(path).add(Revocation(jti="a"))
    wait_for(lambda: code(engine, token_of()) == "revoked", 20)
    store: Any = engine._store
    load, failures = store.load, [1, 2, 3]

    def failing() -> Any:
        if failures:
            failures.pop()
            raise DependencyUnavailable("revocation_store_unavailable")
        return load()

    store.load = failing
    RevocationFile(path).add(Revocation(jti="b"))
    wait_for(lambda: code(engine, token_of("b")) == "revoked", 20)
    assert failures == []


WRITER = """
from rapidjws.stores import RevocationFile
from rapidjws import Revocation
store = RevocationFile(os.environ["LIST"])
for number in range(15):
    store.add(Revocation(jti=f"{os.environ['NUMBER']}-{number}"))
"""


def test_three_writers_of_a_file_lose_nothing(tmp_path: Path) -> None:
    """Three processes that revoke at once lose none of each other's."""
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "revocations.json"
    with ThreadPoolExecutor(3) as many:
        for run in [many.submit(run_python, WRITER, LIST=str(path), NUMBER=number) for number in "123"]:
            run.result()
    started = time.monotonic()
    assert len(RevocationFile(path).load()) == 45
    assert time.monotonic() - started < 20

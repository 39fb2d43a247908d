"""A thread that verifies alone: from which call on the core takes it to be so, and what ends it."""

from __future__ import annotations

import threading
from time import time

from rapidjws import Engine, Issuer, Rejected
from rapidjws._native.core import ffi, lib
from rapidjws.testing import FakeIssuer

CALLS_ALONE = 4096
AUDIENCE = "https://api.example"
ISSUER = FakeIssuer("https://a.example", "ES256", lifetime_s=3600)


def test_a_thread_is_alone_after_many_calls_and_no_longer_after_anothers() -> None:
    """One call of another thread is enough to count from the start."""
    cell = ffi.new("rj_runtime **")
    assert lib.rj_runtime_new(cell, 0, 1) == lib.RJ_OK
    runtime = cell[0]
    is_alone = [lib.rj_runtime_is_alone(runtime, 7) for _ in range(CALLS_ALONE + 3)]
    assert is_alone == [0] * (CALLS_ALONE + 1) + [1, 1]
    assert lib.rj_runtime_is_alone(runtime, 8) == 0
    assert [lib.rj_runtime_is_alone(runtime, 7) for _ in range(CALLS_ALONE + 2)][-2:] == [0, 1]


def test_verdicts_are_the_same_alone_and_beside_another_thread() -> None:
    """Good and forged tokens, before and after the thread counts as alone, and while another one verifies."""
    engine = Engine(Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=AUDIENCE), workers=1)
    engine.precompute()
    good = ISSUER.token(ISSUER.claims(int(time()))).encode()
    forged = good[:-8] + (b"AAAAAAAA" if good[-8:] != b"AAAAAAAA" else b"BBBBBBBB")
    wrong: list[object] = []

    def verify_both() -> None:
        for _ in range(CALLS_ALONE):
            if engine.verify(good).issuer != ISSUER.iss:
                wrong.append("refused")
            if not isinstance(engine.verify_many([forged])[0], Rejected):
                wrong.append("accepted")
        try:
            engine.verify(forged)
            wrong.append("accepted")
        except Exception as refused:
            if getattr(refused, "code", None) != "signature_invalid":
                wrong.append(refused)

    verify_both()
    threads = [threading.Thread(target=verify_both) for _ in range(2)]
    for thread in threads:
        thread.start()
    verify_both()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []

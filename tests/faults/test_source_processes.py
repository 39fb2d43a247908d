"""P1, P4, P5, P10, P11, P14 where keys change: forks, swaps under load, buffers, cancelled waits, a soak."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import sysconfig
import threading
import time
from typing import Any

import pytest
from issuers import needs_proc, now_s, setup, wait_for
from process_memory import INSTRUMENTED, rss_bytes

from rapidjws import Engine, Issuer, JWKSet, Rejected, TokenCache, VerifiedJWS
from rapidjws.errors import RapidJWSError
from rapidjws.testing import FakeIssuer, Fault, make_key

SOAK_S = float(os.environ.get("RAPIDJWS_SOAK_S", "20"))


def open_files() -> int:
    """Return how many descriptors are open."""
    return len(os.listdir("/proc/self/fd"))


def in_child(check: Any) -> int:
    """Run a check in a forked child; return 0 where it held."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if check() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_P01_the_refresher_restarts_after_a_fork() -> None:
    """A child forked while a fetch is under way verifies, revokes, and fetches by itself."""
    with setup(unknown={"cooldown_s": 0.05}) as at:
        at.ready()
        old = at.token()
        at.issuer.script(Fault(delay_s=1.0))
        at.source.invalidate()
        wait_for(lambda: len(at.issuer.requests) == 2)
        at.issuer.rotate()
        new = at.token()

        def child_follows() -> bool:
            assert at.code(old) == "ok"
            wait_for(lambda: at.code(new) == "ok", 8)
            at.engine.revoke(jti="x")
            return at.code(old) == "ok"

        assert in_child(child_follows) == 0
        assert in_child(child_follows) == 0
        wait_for(lambda: at.code(new) == "ok")


def test_P04_the_import_keeps_the_gil_off() -> None:
    """On a free-threaded build the import does not bring the GIL back."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this interpreter is no free-threaded build")
    assert not sys._is_gil_enabled()  # type: ignore[attr-defined]


@needs_proc
@pytest.mark.parametrize(
    "swaps", [1_000, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
def test_P05_table_swaps_while_two_threads_verify(swaps: int) -> None:
    """Each call sees the old table or the new one whole: no wrong verdict, and memory comes back."""
    issuer, other = FakeIssuer("https://a.example", "ES256"), FakeIssuer("https://a.example/b", "ES256")
    crowd = [make_key("EdDSA", kid=f"k{number}").public() for number in range(50)]
    both = JWKSet([*issuer.jwks, *other.jwks, *crowd])
    one = JWKSet([*issuer.jwks, *crowd[:40]])
    rules = Issuer(issuer.iss, keys=one, algorithms=["ES256", "EdDSA"], audience=issuer.audience)
    engine = Engine(rules, cache=TokenCache(100))
    claims = {**issuer.claims(now_s()), "exp": now_s() + 3000}
    steady, coming = issuer.token(claims), other.token(claims)
    wrong: list[str] = []
    done = threading.Event()
    seen = {"ok": 0, "unknown_kid": 0}

    def verify_on() -> None:
        while not done.is_set():
            for result in engine.verify_many([steady, coming] * 4):
                code = result.code if isinstance(result, Rejected) else "ok"
                seen[code] = seen.get(code, 0) + 1
            try:
                engine.verify(steady)
            except RapidJWSError as refused:
                wrong.append(refused.code)

    def swap_on(count: int) -> None:
        for number in range(count):
            engine.replace_keys(issuer.iss, both if number % 2 else one)

    threads = [threading.Thread(target=verify_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        swap_on(swaps // 10)
        gc.collect()
        before = rss_bytes()
        swap_on(swaps)
        gc.collect()
        grown = rss_bytes() - before
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert set(seen) == {"ok", "unknown_kid"}
    assert seen["ok"] >= seen["unknown_kid"]
    assert grown < 8 * 2**20


def test_P10_a_buffer_that_changes_meanwhile() -> None:
    """A buffer is copied before anything is read: what changes it later changes no verdict."""
    issuer = FakeIssuer("https://a.example", "ES256")
    rules = Issuer(issuer.iss, keys=issuer.jwks, algorithms=["ES256"], audience=issuer.audience)
    engine = Engine(rules)
    good = issuer.token(issuer.claims(now_s())).encode()
    buffers = [bytearray(good) for _ in range(200)]
    stop = threading.Event()

    def scribble() -> None:
        while not stop.is_set():
            for buffer in buffers:
                buffer[len(buffer) // 2] ^= 1

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        for _ in range(20):
            for result in engine.verify_many(buffers):
                assert isinstance(result, Rejected) or result._token == good
    finally:
        stop.set()
        thread.join()


def test_P11_a_cancelled_wait_poisons_nothing() -> None:
    """Cancelling tasks that wait for a refresh leaves refresh, source and other waiters alone."""
    with setup() as at:
        at.ready()
        at.issuer.rotate()
        token = at.token()
        at.issuer.script(Fault(delay_s=0.4))
        at.source.invalidate()
        wait_for(lambda: len(at.issuer.requests) == 2)

        async def some_give_up() -> VerifiedJWS:
            tasks = [asyncio.create_task(at.engine.averify(token, wait_s=5)) for _ in range(20)]
            await asyncio.sleep(0.1)
            for task in tasks[1:]:
                task.cancel()
            ended = await asyncio.gather(*tasks[1:], return_exceptions=True)
            assert all(isinstance(one, asyncio.CancelledError) for one in ended)
            return await tasks[0]

        assert asyncio.run(some_give_up()).issuer == at.issuer.iss
        assert len(at.issuer.requests) == 2
        assert at.source.refresh()


@needs_proc
@pytest.mark.parametrize(
    "seconds", [4.0, pytest.param(SOAK_S, marks=[pytest.mark.long, pytest.mark.timeout(0)])]
)
def test_P14_soak_with_rotation(seconds: float) -> None:
    """At full rate with a rotation each moment: memory flat, descriptors flat, no good token refused.

    RAPIDJWS_SOAK_S=86400 with the marker ``long`` makes it the 24 hours; there the rotation is each minute.
    """
    pause_s = min(60.0, seconds / 20)
    with setup(unknown={"cooldown_s": pause_s / 4}, engine={"cache": TokenCache(1000)}) as at:
        at.ready()
        verified, slices, base, files = 0, [], 0, 0
        ends, turn = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            at.issuer.rotate()
            assert at.source.refresh()
            tokens = [at.token(jti=str(number)) for number in range(50)]
            until, count = time.monotonic() + pause_s, 0
            while time.monotonic() < until:
                results = at.engine.verify_many(tokens)
                assert all(isinstance(result, VerifiedJWS) for result in results)
                count += len(results)
            verified += count
            slices.append(count)
            turn += 1
            at.issuer.requests.clear()
            at.events.clear()
            if turn == 5:
                gc.collect()
                base, files = rss_bytes(), open_files()
        gc.collect()
        assert verified > 1000
        if not INSTRUMENTED:  # an instrument keeps freed memory
            assert rss_bytes() - base < max(base // 100, 4 * 2**20)
        assert open_files() <= files + 4


LOADED = """if True:
    import json, sys, threading
    from http.client import HTTPConnection
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from rapidjws.keys import RemoteJWKS
    from rapidjws.keys.settings import Transport
    from rapidjws.testing import FakeIssuer
    body = FakeIssuer("https://a.example", "ES256", "RS256", "EdDSA").jwks
    body = json.dumps(body.as_dict()).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "max-age=60")
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *words):
            pass

    url = sys.argv[1]
    if not url:  # a server of our own loads much of it before
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ours = HTTPConnection("127.0.0.1", server.server_port)
        ours.request("GET", "/")
        ours.getresponse().read()
        url = f"http://127.0.0.1:{server.server_port}/"
    source = RemoteJWKS(url, transport=Transport(insecure_allow_http=True))
    before = set(sys.modules)
    source.refresh(wait_s=20)
    print(source.status().last_failure, sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize(("url", "failure"), [("", "None"), ("http://no.such.host.invalid/", "dns")])
def test_a_fetch_loads_no_module_on_its_thread(url: str, failure: str) -> None:
    """A module that a thread loads while the process forks cannot be loaded in the child: it would hang."""
    run = [sys.executable, "-c", LOADED, url]
    found = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == f"{failure} []"


CONNECTED = """if True:
    import socket, sys, threading
    from rapidjws.stores import RedisRevocations
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        url = f"redis://localhost:{one.getsockname()[1]}"
    reported = threading.Semaphore(0)
    store = RedisRevocations(url, poll_s=0.05, events=lambda event: reported.release())
    before = set(sys.modules)

    class Listener:
        def changed(self):
            pass

    listener = Listener()
    store.subscribe(listener.changed)
    for _ in range(2):
        assert reported.acquire(timeout=20)
    print(sorted(set(sys.modules) - before))
"""


def test_a_redis_listener_loads_no_module_on_its_thread() -> None:
    """The same of the thread that follows revocations, at its first connection."""
    run = [sys.executable, "-c", CONNECTED]
    found = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "[]"

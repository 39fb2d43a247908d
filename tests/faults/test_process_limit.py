"""A process at the kernel's limit of threads and processes: verdicts are right or refusals, and all come."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from gates import bearer, forged, free_port, get, token
from processes import run_python
from sidecar_process import Service, configured, until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_NPROC as Linux counts it"),
    pytest.mark.xdist_group("process_limit"),  # they count the processes of one user
]

VERIFYING = """
    import asyncio, itertools, faulthandler
    from unittest import mock
    from loop_answers import answers, code, mixed, wanted
    from process_limit import limit, startable
    from rapidjws.jwt import micro_batch as gather
    from rapidjws.verify import worker_pool
    import logging
    logging.getLogger("rapidjws.tables").disabled = True  # what it says each time is right, and not asked
    faulthandler.dump_traceback_later(100, exit=True)
    spare = int(os.environ["SPARE"])
    engine = rapidjws.Engine(issuer("HS256"), workers=4)
    signing = rapidjws.Engine(issuer("ES256"), workers=4, precompute_threshold=2)
    texts, es = mixed(900), mixed(60, "ES256")
    signed = sign(key("ES256"), {"alg": "ES256", "kid": key("ES256").kid}, b"x" * 300_000)
    head, _, tail = signed.split(".")
    verifier = rapidjws.Verifier(public("ES256"), algorithms=["ES256"])
    asyncio.run(asyncio.sleep(0))
    limit(spare)
    can = startable()
    assert can == spare or os.environ.get("NOT_ROOT"), can

    def many():
        for size in (1, 64, 300, 900):
            found = [code(one.error() if isinstance(one, rapidjws.Rejected) else one)
                     for one in engine.verify_many(texts[:size])]
            assert found == wanted(size), found[:20]
        assert [code(one.error() if isinstance(one, rapidjws.Rejected) else one)
                for one in signing.verify_many(es)] == wanted(60)

    def decided():
        for size in (1, 64, 900):
            found = engine.decide_many([(text, None, None) for text in texts[:size]])
            assert [code(one) for one in found] == wanted(size)

    async def gathered():
        for size in (1, 7, 60):
            assert await answers([signing.averify(text) for text in es[:size]]) == wanted(size)
            assert await answers([signing.adecide(text) for text in es[:size]]) == wanted(size)

    async def streamed():
        async def pieces(last):
            yield b"x" * 299_999
            yield last
        async def got_of(make):
            try:
                await asyncio.wait_for(verifier.averify_detached(f"{head}..{tail}", make()), 60)
                return "ok"
            except rapidjws.RapidJWSError as refused:
                return refused.code
        for last, right in ((b"x", "ok"), (b"y", "signature_invalid"), (b"x", "ok")):
            for make in (lambda: b"x" * 299_999 + last, lambda: pieces(last)):
                got = await got_of(make)
                if got == "internal_error" and can and startable():
                    got = await got_of(make)  # who had the thread has just ended
                assert got == right or (got == "internal_error" and not startable()), (got, right)

    real = gather.MicroBatcher.__init__
    def on_threads(self, snapshot, clock, window_us):
        real(self, snapshot, clock, window_us, -1)
    for _ in range(3):
        many()
        decided()
        asyncio.run(gathered())
        asyncio.run(streamed())
    with mock.patch.object(gather.MicroBatcher, "__init__", on_threads):
        asyncio.run(gathered())
    print("done")
"""


@pytest.mark.parametrize("spare", range(4))
def test_S14_verifying_at_the_process_limit(spare: int) -> None:
    """With no, one, two or three more threads to be had, batches, gathers and streams are right."""
    environment = {} if os.geteuid() == 0 else {"NOT_ROOT": "1"}
    assert run_python(VERIFYING, SPARE=str(spare), **environment) == "done\n"


SERVING = """
import os, sys
sys.path[:0] = os.environ["PATHS"].split(os.pathsep)
import ctypes, uvloop
from pathlib import Path
from process_limit import limit
from rapidjws.cli.service import run_service
limit(int(os.environ["SPARE"]), os.environ["FOLDER"])
sys.exit(run_service(Path(sys.argv[-1])))
"""


@pytest.fixture(name="own_folder")
def _own_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="a limit that others do not use up needs root")
def test_S14_a_sidecar_at_its_process_limit(own_folder: Path) -> None:
    """Workers that get no thread decide rightly, refuse the rest, and recover with the limit."""
    import rapidjws

    support = Path(__file__).resolve().parents[1] / "support"
    package = Path(next(iter(rapidjws.__path__))).parent
    port = free_port()
    config = configured(own_folder, f"127.0.0.1:{port}", 2)
    (own_folder / "state").mkdir()
    script = own_folder / "serving.py"
    script.write_text(SERVING)
    environment = {
        **os.environ,
        "PATHS": os.pathsep.join([str(package), str(support)]),
        "SPARE": "2",
        "FOLDER": str(own_folder),
    }
    service = Service(
        own_folder, ["--config", str(config)], command=[sys.executable, str(script)], env=environment
    )
    try:
        service.wait_for(rf"127\.0\.0\.1:{port}, 2 workers")
        limits = [service.process.pid, *service.workers()]
        assert len(limits) == 3
        for _ in range(20):
            assert get(port, bearer(token()), "/verify")[0] == 200
            assert get(port, bearer(forged()), "/verify")[0] == 401
            assert get(port, [], "/verify")[0] == 401
        assert get(port, [], "/metrics")[0] == 500
        assert service.process.poll() is None
        for pid in limits:
            uid = Path(f"/proc/{pid}").stat().st_uid  # who may raise it
            subprocess.run(["prlimit", f"--pid={pid}", "--nproc=1000:1000"], user=uid, group=uid, check=True)
        until(lambda: get(port, [], "/metrics")[0] == 200, "no metrics with threads again")
        assert get(port, bearer(token()), "/verify")[0] == 200
    finally:
        assert service.end() == 0

"""gevent that comes after our import, as in gunicorn's preloaded applications, stops no process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WAIT_S = 120

BEFORE = """
import faulthandler, logging, os, sys, time
import rapidjws
from rapidjws.observe import LogHandler
from rapidjws.stores import RevocationFile
from rapidjws.testing import FakeIssuer

fake = FakeIssuer("https://issuer.example", "ES256")
token = fake.token(fake.claims(int(time.time())))
issuer = rapidjws.Issuer(fake.iss, keys=fake.jwks, algorithms=["ES256"], audience=fake.audience)
engine = rapidjws.Engine(issuer, precompute_threshold=5)
handler = LogHandler(destination="log.jsonl")
logging.getLogger("rapidjws").addHandler(handler)
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
faulthandler.dump_traceback_later(60, exit=True)
from gevent import monkey
monkey.patch_all()
import gevent
done = []
def work(number):
    for _ in range(30):
        part(number)
        gevent.sleep(0.001)
    done.append(number)
"""

PARTS = {
    "tables": """
def part(number):
    assert engine.verify(token).issuer == fake.iss
""",
    "timer": """
def part(number):
    other = rapidjws.Engine(issuer, revocations=RevocationFile(f"revocations-{number}.json", poll_s=0.01))
    assert other.verify(token).issuer == fake.iss
""",
    "log": """
def part(number):
    logging.getLogger("rapidjws.test").warning("line %d", number)
""",
}

AFTER = """
gevent.joinall([gevent.spawn(work, number) for number in range(4)], raise_error=True)
assert sorted(done) == [0, 1, 2, 3]
os._exit(0)
"""


@pytest.mark.parametrize("part", PARTS)
def test_greenlets_go_on_where_gevent_came_after_a_fork(part: str, tmp_path: Path) -> None:
    """Locks and queues made before gevent know no greenlets: one that waits in them stops all others."""
    pytest.importorskip("gevent", reason="gevent is not installed: pip install --group middleware")
    script = BEFORE + PARTS[part] + AFTER
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]

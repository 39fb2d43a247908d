"""P6 where keys change: the interpreter ends quietly while fetches, timers and followers are under way."""

from __future__ import annotations

import subprocess
import sys

from rapidjws.testing import Fault, FaultyIssuerServer

PROGRAM = """
import sys, threading, time
from rapidjws import Engine, Issuer, Replay
from rapidjws.errors import RapidJWSError
from rapidjws.keys import FileJWKS, RemoteJWKS, Transport
from rapidjws.stores import RevocationFile
from rapidjws.stores import MemoryReplayStore
url, ca, folder = sys.argv[1:]
source = RemoteJWKS(url, transport=Transport(ca=ca), last_good=folder + "/kept.json")
rules = Issuer("https://a", keys=source, algorithms=["ES256"], replay=Replay(store=MemoryReplayStore()))
engine = Engine(rules, revocations=RevocationFile(folder + "/revoked.json"))
FileJWKS(folder + "/absent.json")
def load():
    while True:
        engine.verify_many(["a.b.c"] * 50)
        source.unknown_kid("x")
for _ in range(3):
    threading.Thread(target=load, daemon=True).start()
time.sleep(0.3)
"""


def test_P06_exit_with_busy_sources(tmp_path: object) -> None:
    """Daemon threads of sources and stores neither keep the process alive nor crash its end."""
    with FaultyIssuerServer() as issuer:
        issuer.always(Fault(silent=True))
        command = [sys.executable, "-c", PROGRAM, issuer.url, issuer.ca_pem, str(tmp_path)]
        for _ in range(3):
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert (ended.returncode, ended.stderr) == (0, "")

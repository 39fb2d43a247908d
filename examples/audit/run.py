"""A day in an audit trail, and its verification when the key is gone: python examples/audit/run.py"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from rapidjws import JWK, Engine, Issuer, JWKSet
from rapidjws.audit import DecisionRecorder, NoteKey, Sequencer, SequencerClient, TrailReader, TrailWriter
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import FakeClock, make_key

ISS = "https://issuer.example"
MIDNIGHT_S = 1_798_761_600  # 2027-01-01T00:00:00Z
HOUR_S = 3600
COMMAND = "from rapidjws.cli import main; main()"
ROTATED_AT, REMOVED_AT = 12, 18


def issuer(*keys: JWK) -> Issuer:
    """Return the issuer with the keys that it publishes at the moment."""
    public = JWKSet([key.public() for key in keys])
    return Issuer(ISS, keys=public, algorithms=["ES256"], audience="https://api.example")


def token(key: JWK, now_s: int, **claims: object) -> str:
    """Return a token of the issuer, good for an hour."""
    payload = {"iss": ISS, "aud": "https://api.example", "sub": "ann", "exp": now_s + HOUR_S, **claims}
    return sign_compact(json.dumps(payload).encode(), LocalSigner(key))


def requests(key: JWK, old: JWK, now_s: int) -> list[str | None]:
    """Return what a gateway sees in an hour: good tokens, bad ones, and one of the key of before."""
    good = [token(key, now_s, n=number) for number in range(6)]
    return [
        *good,
        good[0][:-8] + "AAAAAAAA",
        token(key, now_s, aud="https://other.example"),
        token(key, now_s, exp=now_s - HOUR_S),
        token(old, now_s),
        None,
    ]


def a_day(folder: Path, old: JWK, new: JWK) -> str:
    """Record the decisions of a day; return the log's public key."""
    writer = TrailWriter(folder, origin="gateway1.example.com/audit", signer=LocalSigner(make_key("EdDSA")))
    sequencer = Sequencer(writer)
    stopping = threading.Event()
    thread = threading.Thread(target=sequencer.run, args=(stopping.is_set,))
    thread.start()
    clock = FakeClock(float(MIDNIGHT_S))
    engine = Engine(issuer(old))
    client = SequencerClient(sequencer.path)
    recorder = DecisionRecorder(engine, client, clock=clock)
    try:
        for hour in range(24):
            if hour == ROTATED_AT:
                engine.replace_issuers(issuer(old, new))  # a rotation: both keys are published
            if hour == REMOVED_AT:
                engine.replace_issuers(issuer(new))
            key = new if hour >= ROTATED_AT else old
            for sent in requests(key, old, int(clock.time())):
                decision = engine.decide(sent, now=clock.time(), partner="acme", route="/orders")
                assert recorder.note_durably(decision, sent) is decision  # on the disk
                clock.advance(60)
            clock.advance(HOUR_S - 60 * 11)
    finally:
        client.close()
        stopping.set()
        thread.join()
    return writer.key.text


def rapidjws(folder: Path, *arguments: str) -> int:
    """Run a command in a folder and show it; return how it ended."""
    print("$ rapidjws", *arguments, flush=True)
    return subprocess.run([sys.executable, "-c", COMMAND, *arguments], cwd=folder, check=False).returncode


def main() -> int:
    """Print what was recorded and what each verification says; return 0 where all is as it should be."""
    old, new = make_key("ES256", kid="2026"), make_key("ES256", kid="2027")
    with tempfile.TemporaryDirectory(prefix="audit") as made:
        folder = Path(made)
        trail = folder / "trail"
        key_text = a_day(trail, old, new)
        (folder / "log-key.txt").write_text(key_text)
        reader = TrailReader(trail, NoteKey.from_text(key_text))
        print(f"{reader.size} decisions of a day; {old.kid} rotated at {ROTATED_AT}:00, "
              f"removed from the issuer at {REMOVED_AT}:00")  # fmt: skip
        del old, new  # nobody has the keys any more: what is verified is what the trail holds
        command = ("audit", "verify", "trail", "--key", "log-key.txt")
        good = rapidjws(folder, *command)
        bundle = trail / "tile/entries/000"
        octets = bytearray(bundle.read_bytes())
        octets[octets.index(b'"outcome":"deny"') + len(b'"outcome":"')] ^= 0x01
        bundle.write_bytes(bytes(octets))
        print("one byte of a record is changed")
        altered = rapidjws(folder, *command)
    return 0 if (good, altered) == (0, 1) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Payments signed by an HSM that takes 15 ms a call: alone, queued, past its capacity, joined, signed ahead.

The HSM is SoftHSM over PKCS#11 with four sessions; the 15 ms are added to each call.

    python examples/scenarios/hsm/run.py --seconds 10
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rapidjws.errors
from rapidjws.errors import RapidJWSError
from rapidjws.signing import PresignedPool, SigningQueue, sign_compact
from rapidjws.signing.pkcs11 import Pkcs11Signer

LIBRARY = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "4711-scenario"
CALL_S = 0.015
SESSIONS = 4
MAX_AGE_S = 2.0


class SlowHsm:
    """An HSM of so many sessions whose calls take 15 ms; itself a signer.

    Args:
        inner: The signer that it delays.
    """

    def __init__(self, inner: Pkcs11Signer) -> None:
        self._inner = inner
        self._sessions = threading.Semaphore(SESSIONS)
        self.alg, self.kid, self.public_jwk, self.limits = (
            inner.alg,
            inner.kid,
            inner.public_jwk,
            inner.limits,
        )
        self.calls = 0
        self.is_down = False

    def sign(self, signing_input: bytes) -> bytes:
        """Return the signature after 15 ms, at most four at once."""
        with self._sessions:
            self.calls += 1
            time.sleep(CALL_S)
            if self.is_down:
                raise rapidjws.errors.error_for("signer_unavailable", "hsm")
            return self._inner.sign(signing_input)

    async def asign(self, signing_input: bytes) -> bytes:
        """Return the signature; unused here."""
        raise NotImplementedError


@dataclass
class Measured:
    """What a part measured; times in milliseconds."""

    name: str
    times_ms: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    longest_queue: int = 0
    by_caller: dict[str, list[int]] = field(default_factory=dict)

    def quantile(self, share: float) -> float:
        """Return a quantile of the times."""
        ordered = sorted(self.times_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@contextmanager
def softhsm() -> Iterator[tuple[SlowHsm, SlowHsm]]:
    """Give two HSMs over one key of a fresh SoftHSM token: the second stands for a fail-over."""
    with tempfile.TemporaryDirectory(prefix="rapidjws-hsm-") as name:
        folder = Path(name)
        (folder / "tokens").mkdir()
        settings = folder / "softhsm2.conf"
        settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(settings)
        command = ["softhsm2-util", "--init-token", "--free", "--label", "payments", "--so-pin", "12345678"]
        subprocess.run([*command, "--pin", PIN], check=True, capture_output=True)
        import pkcs11
        from pkcs11.util.ec import encode_named_curve_parameters

        library = pkcs11.lib(LIBRARY)
        library.reinitialize()
        with library.get_token(token_label="payments").open(user_pin=PIN, rw=True) as session:
            curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            domain = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
            domain.generate_keypair(label="payments", store=True)
        made = [
            Pkcs11Signer(LIBRARY, token_label="payments", key_label="payments", pin=PIN, alg="ES256",
                         sessions=SESSIONS)
            for _ in range(2)
        ]  # fmt: skip
        yield SlowHsm(made[0]), SlowHsm(made[1])


def offer(
    part: Measured,
    ask: Callable[[int], Any],
    rate: float,
    seconds: float,
    threads: int,
    *,
    of_call: bool = False,
) -> None:
    """Call at random moments, so many times a second; the time counts from when a call was due, or of it."""
    chance = random.Random(4711)
    lock = threading.Lock()

    def one(number: int, due_s: float) -> None:
        code = None
        begun_s = time.monotonic() if of_call else due_s
        try:
            ask(number)
        except RapidJWSError as failed:
            code = failed.code
        taken_ms = (time.monotonic() - begun_s) * 1000
        with lock:
            if code is None:
                part.times_ms.append(taken_ms)
            else:
                part.refused[code] = part.refused.get(code, 0) + 1

    with ThreadPoolExecutor(threads) as pool:
        due_s = time.monotonic()
        end_s = due_s + seconds
        number = 0
        while due_s < end_s:
            time.sleep(max(0.0, due_s - time.monotonic()))
            pool.submit(one, number, due_s)
            number += 1
            due_s += chance.expovariate(rate)


def payment(number: int) -> bytes:
    """Return a payment to sign."""
    return json.dumps({"payment": number, "amount": "12.50", "currency": "EUR"}).encode()


def counted(name: str, hsm: SlowHsm, run: Callable[[Measured], None]) -> Measured:
    """Run a part and count the HSM's calls."""
    part = Measured(name)
    before = hsm.calls
    run(part)
    part.calls = hsm.calls - before
    return part


def capacity_of(hsm: SlowHsm, seconds: float) -> float:
    """Return how many signatures a second the HSM makes on this machine."""
    begun_s = time.monotonic()
    end_s = begun_s + max(0.2, seconds / 5)

    def busy(number: int) -> int:
        made = 0
        while time.monotonic() < end_s:
            hsm.sign(payment(number))
            made += 1
        return made

    with ThreadPoolExecutor(SESSIONS) as many:
        return sum(many.map(busy, range(SESSIONS))) / (time.monotonic() - begun_s)


def parts(seconds: float, rounds: int = 1) -> list[Measured]:
    """Measure all parts, one after another; each at its share of what the HSM made just before it.

    Args:
        seconds: Of each part.
        rounds: How often the queue is measured; the best counts, for other processes only add to the times.
    """
    with softhsm() as (hsm, second):

        def measured(name: str, share: float, run: Callable[[Measured, float], None]) -> Measured:
            hsm.is_down = False
            capacity = capacity_of(hsm, seconds)
            print(f"{name}: {SESSIONS} sessions of {CALL_S * 1000:g} ms, {capacity:.0f} signatures a second")
            called = second if name.startswith("fail-over") else hsm
            hsm.is_down = called is second
            return counted(name, called, lambda part: run(part, share * capacity))

        return [
            measured("alone, 80 %", 0.8, lambda part, rate: offer(
                part, lambda n: sign_compact(payment(n), hsm), rate, seconds, 128)),
            min((measured("queue, 80 %", 0.8, lambda part, rate: _queued(part, [hsm], rate, seconds))
                 for _ in range(rounds)), key=lambda part: part.quantile(0.95)),
            measured("queue, 150 %", 1.5, lambda part, rate: _queued(part, [hsm], rate, seconds)),
            measured("equal joined, 150 %", 1.5, lambda part, rate: _queued(
                part, [hsm], rate, seconds, kinds=8)),
            measured("signed ahead, 80 %", 0.8, lambda part, rate: _ahead(part, hsm, rate, seconds)),
            measured("fail-over, 80 %", 0.8, lambda part, rate: _queued(part, [hsm, second], rate, seconds)),
        ]  # fmt: skip


def _queued(part: Measured, hsms: list[SlowHsm], rate: float, seconds: float, kinds: int = 0) -> None:
    """Offer to a queue; every tenth request is of a caller that asks for little."""
    queue = SigningQueue(hsms, depth=100, max_age_at_issue_s=MAX_AGE_S)
    lock = threading.Lock()

    def ask(number: int) -> None:
        caller = "small" if number % 10 == 0 else "large"
        octets = payment(number % kinds if kinds else number)
        part.longest_queue = max(part.longest_queue, queue.depth)
        begun_s = time.monotonic()
        is_good = False
        try:
            queue.sign(octets, caller=caller)
            is_good = True
            assert time.monotonic() - begun_s <= MAX_AGE_S + 1, "a stale signature"
        finally:
            with lock:
                part.by_caller.setdefault(caller, [0, 0])[0 if is_good else 1] += 1

    offer(part, ask, rate, seconds, 256)
    queue.close()


def _ahead(part: Measured, hsm: SlowHsm, rate: float, seconds: float) -> None:
    """Take tokens that a thread signed ahead for four sets of claims."""
    claims = [{"sub": "payments", "aud": f"https://bank-{n}.example"} for n in range(4)]
    size = min(256, max(8, int(seconds * 64)))
    pool = PresignedPool(hsm, lifetime_s=60, least_left_s=20, size=size)
    with ThreadPoolExecutor(SESSIONS) as many:
        list(many.map(pool.refill, claims))
        ended = threading.Event()

        def refill(one: dict[str, Any]) -> None:
            while not ended.is_set():
                if not pool.refill(one):
                    ended.wait(0.01)

        for one in claims:
            many.submit(refill, one)
        offer(part, lambda n: pool.take(claims[n % 4]), rate, seconds, 16, of_call=True)
        ended.set()


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each part")
    parser.add_argument("--price", type=float, default=0.15, help="of 10 000 calls, in your currency")
    given = parser.parse_args(arguments)
    found = parts(given.seconds)
    print(f"{'part':22} {'signed':>7} {'refused':>7} {'calls':>6} {'p50 ms':>8} {'p95 ms':>8} {'queue':>6} "
          f"{'cost of a million':>18}")  # fmt: skip
    for one in found:
        signed = len(one.times_ms)
        cost = one.calls / max(signed, 1) * 100 * given.price
        print(f"{one.name:22} {signed:7} {sum(one.refused.values()):7} {one.calls:6} "
              f"{one.quantile(0.5):8.2f} {one.quantile(0.95):8.2f} {one.longest_queue:6} "
              f"{cost:18.2f}")  # fmt: skip
        for caller, (good, bad) in sorted(one.by_caller.items()):
            if bad:
                print(f"    {caller}: {good} signed, {bad} refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())

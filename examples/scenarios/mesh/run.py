"""Services behind Envoy and sidecars, whose tokens an issuer with keys in KMS signs, while keys rotate.

Every service verifies fresh tokens under load; keys are promoted every few seconds, announced through
Redis and by webhook. KMS is moto's server.

    python examples/scenarios/mesh/run.py --seconds 30
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

sys.path[:0] = [str(Path(__file__).resolve().parent)]

import world
from disturbed import Balancer, Faults, Result
from gateway import free_port, running

from rapidjws.config.issuing_file import load_issuing
from rapidjws.errors import RapidJWSError

MAX_AGE_S: Final = 3.0
HOOK_SECRET: Final = "scenario-hook-secret-0123456789abcdef"
TIMES: Final = (
    "jwks_max_age_s = 3\ntoken_lifetime_s = 60\nclock_skew_s = 1\nstate_max_age_s = 0.5\n"
    "publish_slack_s = 2.5\npublish_before_s = 5.5\n"
)
BACKLOG_S: Final = 0.5
"""How far behind its rate the load may be; what a busy machine does not make in time is not made up for."""
READY_S: Final = 6.0
"""After this a next key may sign, in seconds."""


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@contextlib.contextmanager
def kms() -> Iterator[dict[str, str]]:
    """Run moto's server, and give the environment in which boto3 finds it."""
    beside = Path(sys.executable).with_name("moto_server")
    found = str(beside) if beside.exists() else shutil.which("moto_server")
    if found is None:
        raise RuntimeError("moto_server absent: pip install 'moto[kms,server]'")
    port = free_port()
    with running([found, "-p", str(port)], port, stdout=-3, stderr=-3):
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }


@contextlib.contextmanager
def mesh(
    folder: Path, result: Result, *, issuers: int, in_kms: bool, foreign: bool, clock_off_s: float = 0.0
) -> Iterator[tuple[list[world.Issuer], list[world.Consumer]]]:
    """Run issuers and consumers, and give both."""
    with contextlib.ExitStack() as stack:
        redis_url = stack.enter_context(world.redis(folder))
        environment = stack.enter_context(kms()) if in_kms else {}
        os.environ.update(environment)
        secret = folder / "hook.secret"
        secret.touch(mode=0o600)
        secret.write_text(HOOK_SECRET)
        keys = 'kms_regions = ["eu-west-1"]' if in_kms else f'key_folder = "{folder}"'
        hook_port = free_port()
        settings = f'redis = "{redis_url}"\nrevocations_redis = "{redis_url}"\nlease_s = 2\n{keys}\n{TIMES}'
        consumer = (
            f'[[consumers]]\nname = "sidecar"\nurl = "http://127.0.0.1:{hook_port}/hooks/jwks-rotated"\n'
            f'secret_file = "{secret}"\ninsecure_allow_http = true\n'
        )
        made = []
        for number in range(issuers):
            one = world.Issuer(folder / f"issuer{number}", settings, free_port(), environment)
            one.config.write_text(one.config.read_text() + consumer)
            stack.callback(one.stop)
            if number and number == issuers - 1:
                one.clock_off_s = clock_off_s
            one.start(is_publishing=not one.clock_off_s)
            made.append(one)
        balancer = Balancer(made, result)
        stack.callback(balancer.close)
        url = f"http://127.0.0.1:{balancer.port}{world.JWKS_PATH}"
        port = stack.enter_context(world.sidecar(folder / "sidecar", url, redis_url, secret, port=hook_port))
        envoy = stack.enter_context(world.envoy(folder, balancer.port, MAX_AGE_S))
        consumers: list[world.Consumer] = [
            world.HttpConsumer("sidecar", port, "/verify"),
            world.HttpConsumer("Envoy jwt_authn", envoy),
        ]
        if foreign:
            node = world.JoseConsumer(url, MAX_AGE_S, folder)
            stack.callback(node.close)
            consumers += [world.PyJwtConsumer(url, MAX_AGE_S), node]
        yield made, consumers


class Load:
    """Threads that verify fresh tokens at every consumer.

    Args:
        issuers: Who gives tokens.
        consumers: Who verifies them.
        rate: Verifications a second, of all.
        result: Where they are counted.
    """

    def __init__(
        self,
        issuers: Sequence[world.Issuer],
        consumers: Sequence[world.Consumer],
        rate: float,
        result: Result,
    ) -> None:
        self._issuers, self._result = issuers, result
        self._pause_s = len(consumers) / rate
        self.tokens: deque[str] = deque(maxlen=20)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._fetch)]
        self._threads += [threading.Thread(target=self._verify, args=(one,)) for one in consumers]
        for one in self._threads:
            one.start()

    def _fetch(self) -> None:
        while not self._ended.wait(0.1):
            token = random.choice(list(self._issuers)).token()
            if token is not None:
                self.tokens.append(token)

    def _verify(self, consumer: world.Consumer) -> None:
        due_s = time.monotonic()
        while not self._ended.is_set():
            due_s = max(due_s + self._pause_s, time.monotonic() - BACKLOG_S)
            self._ended.wait(max(0.0, due_s - time.monotonic()))
            if not self.tokens:
                continue
            token = self.tokens[-1] if random.random() < 0.5 else random.choice(list(self.tokens))
            try:
                is_accepted = consumer.accepts(token)
            except (OSError, world.http.client.HTTPException):
                self._result.failed[consumer.name] += 1
                continue
            if is_accepted:
                self._result.accepted[consumer.name] += 1
            else:
                self._result.refused.append((consumer.name, consumer.why))

    def end(self) -> None:
        """Stop."""
        self._ended.set()
        for one in self._threads:
            one.join(60)


def promoted(issuers: Sequence[Any]) -> int:
    """Have each promote the next key at the same moment, and return how many did."""
    ready = threading.Barrier(len(issuers))
    done: list[str] = []

    def promote(one: Any) -> None:
        ready.wait(world.WAIT_S)
        try:
            one.life_cycle.promote()
        except RapidJWSError as refused:
            done.append(refused.code)
        else:
            done.append("ok")

    threads = [threading.Thread(target=promote, args=(one,)) for one in issuers]
    for one in threads:
        one.start()
    for one in threads:
        one.join(world.WAIT_S)
    others = set(done) - {"ok", "key_not_ready", "no_next_key", "key_state_changed"}
    if others or len(done) != len(issuers) or done.count("ok") > 1:
        raise RuntimeError(f"promotions at the same moment ended with {done}")
    return done.count("ok")


def rotate(issuers: Sequence[Any], kid_before: str, load: Load, result: Result) -> str:
    """Promote the next key, and note how long it took until a token of it was given."""
    begun_s = time.monotonic()
    if not promoted(issuers):
        return kid_before
    result.fights += len(issuers) > 1
    issuer = issuers[0]
    kid: str = issuer.life_cycle.state().in_stage("active")[0].kid
    result.rotations += 1

    def is_used() -> bool:
        return any(_kid(one) == kid for one in list(load.tokens))

    world.until(is_used, "no token of the new key")
    result.lag_s.append(time.monotonic() - begun_s)
    return kid


def _kid(token: str) -> str:
    found: str = json.loads(world.decoded(token))["kid"]
    return found


def measure(
    seconds: float,
    rate: float,
    *,
    every_s: float = 10.0,
    issuers: int = 1,
    in_kms: bool = True,
    foreign: bool = False,
    kill_every_s: float | None = None,
    pause_every_s: float | None = None,
    fighting: bool = False,
    clock_off_s: float = 0.0,
) -> Result:
    """Run it, and return what was measured.

    Args:
        seconds: How long under load.
        rate: Verifications a second.
        every_s: Time between two rotations.
        issuers: How many processes issue.
        in_kms: Whether keys are in KMS, or in a folder.
        foreign: Whether PyJWKClient and Node's jose verify as well.
        kill_every_s: Time between two kills of a random issuer; None for none.
        pause_every_s: Time between two stops of a random issuer for longer than the lease; None for none.
        fighting: Whether two promote the next key at the same moment at each rotation.
        clock_off_s: By how much the clock of the last issuer is wrong.
    """
    faults = Faults(kill_every_s, pause_every_s)
    result = Result()
    with tempfile.TemporaryDirectory(prefix="rapidjws-mesh-") as name:
        folder = Path(name)
        with mesh(
            folder, result, issuers=issuers, in_kms=in_kms, foreign=foreign, clock_off_s=clock_off_s
        ) as (made, consumers):
            promoting = [load_issuing(one.config) for one in (made[:2] if fighting else made[:1])]
            token = world.until(made[0].token, "no token")
            for one in consumers:
                world.until(lambda one=one: one.accepts(token), f"{one.name} never accepted a token")
            load = Load(made, consumers, rate, result)
            try:
                _run(made, promoting, load, result, seconds, every_s, faults)
            finally:
                load.end()
    return result


def _run(
    made: Sequence[world.Issuer],
    promoting: Sequence[Any],
    load: Load,
    result: Result,
    seconds: float,
    every_s: float,
    faults: Faults,
) -> None:
    """Rotate, and kill and stop issuers where that is wanted, until the time is over."""
    end_s = time.monotonic() + seconds
    rotate_s = time.monotonic() + min(every_s, READY_S)
    kid = ""
    try:
        while (now_s := time.monotonic()) < end_s:
            if now_s >= rotate_s:
                before = kid
                kid = rotate(promoting, kid, load, result)
                rotate_s = now_s + (every_s if kid != before else 0.5)
            faults.step(made, result)
            time.sleep(0.05)
    finally:
        faults.mend()


def show(result: Result, seconds: float) -> None:
    """Print what an operator looks at."""
    total = result.total
    share = result.accepted.total() / total if total else float("nan")
    print(f"verifications      {total} ({total / seconds:.0f} a second), {share:.4%} accepted")
    for name, count in sorted(result.accepted.items()):
        refused = sum(one == name for one, _ in result.refused)
        print(f"  {name:16} {count} accepted, {refused} refused, {result.failed[name]} without an answer")
    for (name, why), count in Counter(result.refused).most_common(10):
        print(f"  {name} refused {count}: {why}")
    print(f"rotations          {result.rotations}, {result.fights} of them by two at once, "
          f"issuers killed {result.kills}, stopped {result.pauses}")  # fmt: skip
    print(f"rotation lag       median {quantile(result.lag_s, 0.5):.2f} s, "
          f"worst {quantile(result.lag_s, 1):.2f} s")  # fmt: skip
    print(f"JWKS fetches       {len(result.fetch_ms)}, p50 {quantile(result.fetch_ms, 0.5):.1f} ms, "
          f"p95 {quantile(result.fetch_ms, 0.95):.1f} ms")  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a table: exit 0 when every good token was accepted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="under load")
    parser.add_argument("--rate", type=float, default=200.0, help="verifications a second")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between rotations")
    given = parser.parse_args(arguments)
    result = measure(given.seconds, given.rate, every_s=given.every)
    show(result, given.seconds)
    return 1 if result.refused or not result.rotations else 0


if __name__ == "__main__":
    sys.exit(main())

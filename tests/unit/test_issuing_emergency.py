"""An emergency rotation: what it does in which order, what it does when a step fails, and its drill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from issuing_world import START_S, TIMING, CountingMaker, life_cycle
from tokens import b64url_decode
from typer.testing import CliRunner

from rapidjws import Engine, Issuer, RapidJWSError
from rapidjws.cli.app import app
from rapidjws.errors import error_for
from rapidjws.issuing import Announcer, Consumer, KeyLifeCycle, rotate_in_emergency
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.signing import JWTBuilder, PresignedPool
from rapidjws.stores import RevocationFile
from rapidjws.testing import FakeClock

ISS = "https://issuer.example"


class Hooks:
    """Consumers' hooks: each answers 200 from its second request on, those named ``down`` never."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, str]] = []
        self._asked_before: set[str] = set()

    def __call__(self, url: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        """Answer."""
        if "down" in url:
            raise FetchFailed("connect")
        self.bodies.append(json.loads(body))
        known = url in self._asked_before
        self._asked_before.add(url)
        return (200, b'{"status":"known"}') if known else (202, b"{}")


def announcer(hooks: Hooks, *names: str) -> Announcer:
    """Return an announcer whose clock goes on by a second a look."""
    seconds = iter(range(10_000))
    consumers = [Consumer(name=one, url=f"https://{one}.example/hook", secret="s" * 32) for one in names]
    return Announcer(ISS, consumers, hooks, monotonic=lambda: float(next(seconds)), sleep=lambda _: None)


def ready(maker: CountingMaker) -> tuple[FakeClock, KeyLifeCycle]:
    """Return an issuer whose next key is ready."""
    clock = FakeClock(START_S)
    issuer = life_cycle(clock, maker=maker)
    for _ in range(3):
        issuer.tick()
        clock.advance(TIMING.before_s)
    return clock, issuer


def decode_header(token: str) -> dict[str, Any]:
    """Return a token's header."""
    found: dict[str, Any] = json.loads(b64url_decode(token.partition(".")[0]))
    return found


def test_the_key_is_replaced_revoked_and_gone_at_every_consumer(tmp_path: Path) -> None:
    """The next key signs, an engine refuses the old one's tokens at once, and consumers confirm both."""
    maker = CountingMaker()
    clock, issuer = ready(maker)
    old = issuer.signing_key()
    revocations = RevocationFile(tmp_path / "revoked.json")
    engine = Engine(
        Issuer(ISS, keys=old.public(), algorithms=["ES256"], audience="a"), revocations=revocations
    )
    token = JWTBuilder(maker.signer(old), iss=ISS, audience="a", clock=clock.time).sign()
    now = int(clock.time())
    assert engine.verify(token, now).claims["iss"] == ISS
    hooks = Hooks()
    pool = PresignedPool(maker.signer(old), size=2, clock=clock.time)
    pool.refill({"sub": "a"})
    report = rotate_in_emergency(
        issuer, announcer(hooks, "orders", "billing"), old.kid, "leaked", issuer=ISS,
        revocations=revocations, signer_for=maker.signer, pools=[pool], wait_s=60,
    )  # fmt: skip
    assert report.is_complete
    assert [one.name for one in report.stages] == ["replaced", "flushed", "revoked", "confirmed"]
    assert decode_header(pool.take({"sub": "a"}))["kid"] == "es256-1"
    assert report.successor == issuer.signing_key().kid == "es256-1"
    assert set(report.confirmations.confirmed) == {"orders", "billing"}
    assert all(one == {"issuer": ISS, "kid": "es256-1", "withdrawn": "es256-0"} for one in hooks.bodies)
    with pytest.raises(RapidJWSError) as refused:
        engine.verify(token, now)
    assert refused.value.code == "revoked"


def test_a_step_that_fails_stops_no_later_one(tmp_path: Path) -> None:
    """A store of revocations that fails and a consumer that is away are named; the rest is done."""
    maker = CountingMaker()
    _, issuer = ready(maker)
    revocations = RevocationFile(tmp_path / "gone" / "revoked.json")
    report = rotate_in_emergency(
        issuer, announcer(Hooks(), "orders", "down"), "es256-0", "x", issuer=ISS,
        revocations=revocations, wait_s=20,
    )  # fmt: skip
    assert [one.failed for one in report.stages] == [False, True, True]
    assert not report.is_complete
    assert report.confirmations.missing == {"down": "connect"}
    assert set(report.confirmations.confirmed) == {"orders"}


def test_nobody_to_confirm_is_no_success(tmp_path: Path) -> None:
    """Without consumers and without a store of revocations it has failed; with a store it says so."""
    _, issuer = ready(CountingMaker())
    report = rotate_in_emergency(issuer, announcer(Hooks()), "es256-0", "x", issuer=ISS, wait_s=0)
    assert not report.is_complete
    assert (report.stages[-1].name, report.stages[-1].failed) == ("confirmed", True)
    assert "no consumers are named" in report.stages[-1].detail
    _, issuer = ready(CountingMaker())
    revocations = RevocationFile(tmp_path / "revoked.json")
    report = rotate_in_emergency(
        issuer, announcer(Hooks()), "es256-0", "x", issuer=ISS, revocations=revocations, wait_s=0
    )
    assert report.is_complete
    assert "the store of revocations alone" in report.stages[-1].detail


def test_a_young_next_key_signs_in_an_emergency_and_none_leaves_all_as_it_was() -> None:
    """A next key that is not ready is promoted and named so; without one nothing changes."""
    clock = FakeClock(START_S)
    issuer = life_cycle(clock)
    for _ in range(2):
        issuer.tick()
        clock.advance(TIMING.before_s * 0.999 if issuer.state().in_stage("active") else TIMING.before_s)
    report = rotate_in_emergency(issuer, announcer(Hooks()), "es256-0", "x", issuer=ISS, wait_s=0)
    assert "may not know" in report.stages[0].detail
    before = issuer.state()
    for kid, code in (("es256-1", "no_next_key"), ("nobody", "key_not_found")):
        with pytest.raises(RapidJWSError) as refused:
            rotate_in_emergency(issuer, announcer(Hooks()), kid, "x", issuer=ISS)
        assert refused.value.code == code
    assert issuer.state() == before


def test_the_command_drills_on_a_copy_and_then_does_it(tmp_path: Path) -> None:
    """A drill changes no file; the emergency writes state and revocation, and prints its timeline."""
    (tmp_path / "keys").mkdir()
    config = tmp_path / "issuing.toml"
    config.write_text(
        '[issuing]\nissuer = "https://issuer.example"\nstate_file = "keys.json"\nkey_folder = "keys"\n'
        'revocations_file = "revoked.json"\n'
    )
    runner = CliRunner()

    def run(*words: str) -> Any:
        return runner.invoke(app, ["issue", *words, "--config", str(config)])

    kid = run("tick").output.split()[0]
    before = (tmp_path / "keys.json").read_bytes()
    words = ["emergency", "--kid", kid, "--why", "found on a disk"]
    drilled = run(*words, "--drill")
    assert drilled.exit_code == 0, drilled.output
    assert drilled.output.startswith("drill: ")
    assert (tmp_path / "keys.json").read_bytes() == before
    assert not (tmp_path / "revoked.json").exists()
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    assert [one["name"] for one in json.loads(done.output)["stages"]] == ["replaced", "revoked"]
    assert kid in (tmp_path / "revoked.json").read_text()
    assert "tainted" in run("status").output
    assert run("emergency", "--kid", "nobody", "--why", "x").exit_code == 2


def test_a_next_key_that_cannot_sign_keeps_no_stolen_one_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stolen key is out of use all the same, and the stage says what keeps the next one from signing."""
    maker = CountingMaker()
    _, issuer = ready(maker)
    old = issuer.signing_key()

    def away(key: Any) -> Any:
        raise error_for("signer_unavailable", "pkcs11", actual="TokenNotPresent")

    monkeypatch.setattr(maker, "signer", away)
    report = rotate_in_emergency(issuer, announcer(Hooks()), old.kid, "lost", issuer=ISS, wait_s=0)
    assert issuer.state().key(old.kid).stage == "tainted"
    assert "signer_unavailable" in report.stages[0].detail

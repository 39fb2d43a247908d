"""Who still uses a key that stopped signing, from the evidence of verifications."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from rapidjws import Engine, Issuer
from rapidjws.cli.app import app
from rapidjws.config.issuing_file import load_issuing
from rapidjws.rollout import Partner, Rollout, StateFolder
from rapidjws.rollout.rollout import first_plan
from rapidjws.signing import JWTBuilder
from rapidjws.testing import FakeClock

ISS = "https://issuer.example"


def test_uses_of_an_old_key_are_shown_by_partner(tmp_path: Path) -> None:
    """A partner that sends tokens of a retired key is named with status 1; before the rotation it was 0."""
    (tmp_path / "keys").mkdir()
    folder = tmp_path / "rollout"
    folder.mkdir()
    config = tmp_path / "issuing.toml"
    config.write_text(f'[issuing]\nissuer = "{ISS}"\nstate_file = "state.json"\nkey_folder = "keys"\n')

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, ["issue", "overlap", "--config", str(config), *words])

    clock = FakeClock(time.time() - 3600)
    issuer = load_issuing(config, clock=clock)
    for _ in range(3):
        issuer.life_cycle.tick()
        clock.advance(issuer.life_cycle.timing.before_s)
    old = issuer.life_cycle.signing_key()
    signer = issuer.maker.signer(old)

    def seen(at_s: float) -> None:
        policy = Rollout(
            [Partner(name="acme", issuers=(ISS,))], state=StateFolder(folder, first_plan()),
            clock=lambda: at_s,
        )  # fmt: skip
        engine = Engine(Issuer(ISS, keys=old.public(), algorithms=["ES256"], audience="a"), rollout=policy)
        token = JWTBuilder(signer, iss=ISS, audience="a", clock=lambda: at_s).sign()
        assert engine.decide(token, now=at_s).outcome == "permit"
        policy.flush()

    empty = run("--evidence", str(folder))
    assert (empty.exit_code, "no use" in empty.output) == (0, True), empty.output
    seen(clock.time())
    shown = run("--evidence", str(folder))
    assert (shown.exit_code, f"{old.kid} active: acme" in shown.output) == (0, True), shown.output
    issuer.life_cycle.promote()
    seen(clock.time() + 5)
    shown = run("--evidence", str(folder), "--json")
    (row,) = [json.loads(line) for line in shown.output.splitlines()]
    assert shown.exit_code == 1
    assert (row["kid"], row["stage"], row["partner"], row["count"]) == (old.kid, "retired", "acme", 2)
    assert row["after_it_stopped"]
    assert run("--evidence", str(tmp_path / "nowhere")).exit_code == 2

"""A key is tried before it begins to sign: one that cannot replaces none that does."""

from __future__ import annotations

from pathlib import Path

import pytest
from issuing_world import START_S, TIMING, life_cycle

from rapidjws import RapidJWSError
from rapidjws.issuing import LocalKeyMaker, Schedule
from rapidjws.testing import FakeClock


def code_of(call: object) -> str:
    """Return the code of the error that a call raises."""
    with pytest.raises(RapidJWSError) as caught:
        call()  # type: ignore[operator]
    return caught.value.code


def test_a_private_key_that_others_read_or_that_is_gone_begins_no_signing(tmp_path: Path) -> None:
    """The promotion is refused with the file's fault and the active key goes on; a next key is replaced."""
    clock = FakeClock(START_S)
    issuer = life_cycle(clock, maker=LocalKeyMaker(tmp_path), schedule=Schedule("every hour"))
    for _ in range(2):
        issuer.tick()
        clock.advance(TIMING.before_s)
    active, waiting = issuer.state().published()
    path = tmp_path / waiting.reference
    for spoil, code in (
        (lambda: path.chmod(0o644), "key_readable_by_others"),
        (path.unlink, "key_state_unavailable"),
    ):
        spoil()
        clock.advance(3600)
        assert code_of(issuer.tick) == code
        assert code_of(issuer.promote) == code
        assert issuer.signing_key().kid == active.kid
    issuer.taint(waiting.kid, "its file is gone")
    issuer.tick()
    clock.advance(TIMING.before_s)
    issuer.tick()
    assert issuer.signing_key().kid not in (active.kid, waiting.kid)

"""Bounds of rates, counts, windows that decide who is promoted, rolled back or reported, and one beside."""

from __future__ import annotations

import pytest

from rapidjws import ConfigurationError
from rapidjws.rollout import GuardRails, Partner, Stage
from rapidjws.rollout.counters import Row, WindowCounts
from rapidjws.rollout.escalation import DAY_S, UNKNOWN_KID_S, _of_partner
from rapidjws.rollout.plan import canary_position

NOW_S = 1_800_000_000
RAILS = GuardRails(max_error_rate=0.01, min_evidence=100, automatic_rollback=True, rollback_error_rate=0.2)


@pytest.mark.parametrize(
    ("total", "failed", "rules"),
    [
        (99, 0, ["evidence"]),
        (100, 0, []),
        (101, 0, []),
        (100, 1, []),  # the rate itself may be
        (100, 2, ["error_rate"]),
        (99, 1, ["evidence", "error_rate"]),
        (101, 1, []),
        (0, 0, ["evidence"]),
    ],
)
def test_T11_a_promotion_at_its_guard_rails(total: int, failed: int, rules: list[str]) -> None:
    """The least evidence is enough, the largest rate is allowed; one beside it is not."""
    found = RAILS.objections(WindowCounts(total=total, failed=failed), last_day=0, now_s=NOW_S)
    assert [one.rule for one in found] == rules


@pytest.mark.parametrize(
    ("total", "failed", "asks"),
    [(99, 99, False), (100, 20, False), (100, 21, True), (101, 21, True), (101, 20, False), (100, 19, False)],
)
def test_T11_a_rollback_at_its_rate(total: int, failed: int, asks: bool) -> None:
    """Above the rate, and from the least evidence on."""
    assert RAILS.asks_for_rollback(WindowCounts(total=total, failed=failed)) is asks
    off = GuardRails(min_evidence=100, rollback_error_rate=0.2)
    assert off.asks_for_rollback(WindowCounts(total=total, failed=failed)) is False


@pytest.mark.parametrize(("minimum", "total", "asks"), [(0, 0, False), (0, 1, True), (1, 1, True)])
def test_T11_a_rollback_needs_one_request(minimum: int, total: int, asks: bool) -> None:
    """Of nothing no rate is taken, whatever the least evidence is."""
    rails = GuardRails(min_evidence=minimum, automatic_rollback=True, rollback_error_rate=0.2)
    assert rails.asks_for_rollback(WindowCounts(total=total, failed=total)) is asks


def test_T11_a_partner_at_the_canary_share() -> None:
    """A partner joins when the share passes its place, not on it; with all of them, so do unknown ones."""
    place = canary_position("acme")
    above, below = place * (1 + 1e-12), place * (1 - 1e-12)
    for share, phase in ((below, "detection"), (place, "detection"), (above, "warning"), (100, "warning")):
        stage = Stage(phase="warning", before="detection", canary_percent=share)
        assert stage.phase_for("acme") == phase, share
    nearly = Stage(phase="warning", before="detection", canary_percent=99.999999)
    assert nearly.phase_for(None) == "detection"
    assert Stage(phase="warning", before="detection").phase_for(None) == "warning"


@pytest.mark.parametrize(
    ("first_s", "last_s", "reported"),
    [
        (NOW_S - UNKNOWN_KID_S, NOW_S, True),
        (NOW_S - UNKNOWN_KID_S + 1, NOW_S, False),
        (NOW_S - UNKNOWN_KID_S - 1, NOW_S, True),
        (NOW_S - 2 * DAY_S, NOW_S - DAY_S, False),
        (NOW_S - 2 * DAY_S, NOW_S - DAY_S + 1, True),
        (NOW_S - 2 * DAY_S, NOW_S - DAY_S - 1, False),
    ],
)
def test_T11_an_unknown_kid_is_reported_of(first_s: int, last_s: int, reported: bool) -> None:
    """From an hour after it was seen first, and for a day after it was seen last."""
    row = Row(kids={"k": [1, first_s, last_s]})
    found = [one.rule for one in _of_partner(Partner(name="a"), row, NOW_S)]
    assert found == (["unknown_kids"] if reported else [])


@pytest.mark.parametrize(
    ("last_s", "reported"), [(-DAY_S, False), (-DAY_S + 1, True), (-DAY_S - 1, False), (0, True)]
)
def test_T11_an_algorithm_not_agreed_on_is_reported_of(last_s: int, reported: bool) -> None:
    """For a day after it was seen last."""
    row = Row(other_algs={"RS256": [1, NOW_S - 2 * DAY_S, NOW_S + last_s]})
    found = [one.rule for one in _of_partner(Partner(name="a"), row, NOW_S)]
    assert found == (["algorithm_not_agreed"] if reported else [])


def test_T11_a_stage_holds_its_bounds() -> None:
    """A share is above 0 and at most 100."""
    for share in (1e-9, 50, 100):
        Stage(phase="warning", before="detection", canary_percent=share)
    for share in (0, -1e-9, 100.000001):
        with pytest.raises(ConfigurationError, match="canary_percent"):
            Stage(phase="warning", before="detection", canary_percent=share)

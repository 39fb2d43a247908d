"""Routes of a rollout: spellings, absent and several ones, and rollbacks."""

from __future__ import annotations

import itertools
from urllib.parse import quote

import pytest
from plans import A, plan, stage
from rollouts import ask, engine, rollout

from rapidjws import ConfigurationError
from rapidjws.rollout import MemoryState, Partner, Stage
from rapidjws.rollout.plan import Plan, canary_position
from rapidjws.rollout.routes import route_of


@pytest.mark.parametrize(
    "path",
    [
        "/p%u0061y",
        "/pay%20",
        "/pay.",
        "/pay#",
        "/pay%23",
        "/pay\\",
        "/pay%5C",
        "/x/../pay",
        "/x/%2E%2e/pay",
        "/./pay",
        "//pay",
        "/pay%00",
        "/pay\x01",
        "/pay%7f",
        "/pay%",
        "/pay%2",
        "/pay%g1",
        "/p%C1%A1y",
        "/p%E0%81%A1y",
        "/p%ED%A0%80y",
        "/%EF%BD%90ay",
        "/pay%E2%80%8B",
        "/pay%C2%A0",
        "/pay;x",
        "/pay%3bx",
        "/pay%2fx",
        "/pay%3Fx",
        "/pay%25",
        "/p\xe4y",
        "pay",
        "*",
        "",
        "http://x/pay",
        "/a,/pay",
        " /pay",
        "/pay/..",
        "/pay/ ",
        "/a%20/pay",
    ],
)
def test_S8_odd_spellings_get_the_strictest_stage(path: str) -> None:
    """What servers may read apart has no spelling, and gets the strictest stage of all routes."""
    assert route_of(path) is None
    of = engine(rollout(state=plan({("", ""): "detection", ("", "/pay"): "enforcement"})))
    assert ask(of, None, route=path).outcome == "deny"


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        ("/pay", "/pay"),
        ("/%70ay", "/pay"),
        ("/pa%79/", "/pay/"),
        ("/a%3ab", "/a:b"),
        ("/a%c3%a9", "/a%C3%A9"),
        ("/a|b", "/a%7Cb"),
        ("/a%7cb", "/a%7Cb"),
        ("/pay?x=../%00#", "/pay"),
        ("/%7Euser", "/~user"),
        ("/a%20b", "/a%20b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/v1.0/a..b", "/v1.0/a..b"),
        ("/%C3%9F", "/%C3%9F"),
    ],
)
def test_S8_a_route_has_one_spelling(path: str, spelled: str) -> None:
    """Unreserved characters stand as they are, escapes are upper-case, the query is left out."""
    assert route_of(path) == spelled
    assert route_of(spelled) == spelled


def test_S8_case_is_a_setting() -> None:
    """Where case counts, another case gets the stricter of both stages; else it is the same route."""
    for stages, phases in (
        ({("", ""): "detection", ("", "/pay"): "enforcement"}, ("enforcement", "enforcement")),
        ({("", ""): "enforcement", ("", "/pay"): "detection"}, ("enforcement", "detection")),
        ({("", ""): "detection", ("", "/Pay"): "enforcement"}, ("enforcement", "enforcement")),
    ):
        for folds, phase in zip((False, True), phases, strict=True):
            of = engine(rollout(state=plan(stages), case_insensitive_routes=folds))
            assert ask(of, None, route="/PAY/1").phase == phase
    two = {("", ""): "detection", ("", "/pay"): "warning", ("", "/PAY"): "enforcement"}
    assert (
        ask(engine(rollout(state=plan(two), case_insensitive_routes=True)), None, route="/pay").phase
        == "enforcement"
    )
    folding = rollout(phase="detection", case_insensitive_routes=True)
    assert ("", "/pay") in folding.promote(by="ann", route="/Pay").stages
    upper = rollout(state=plan({("", ""): "detection", ("", "/Pay"): "enforcement"}))
    assert ask(engine(upper), None, route="/pay").phase == "enforcement"


def test_S8_without_a_route_the_strictest_of_all_holds() -> None:
    """An absent or empty route gets the strictest of what the partner can get, never more."""
    stages = {
        ("", ""): "detection",
        ("", "/pay"): "enforcement",
        ("a", ""): "warning",
        ("b", "/pay"): "detection",
    }
    of = engine(rollout(A, Partner(name="b"), state=plan(stages)))
    for route in (None, "", ()):
        assert ask(of, None, route=route).phase == "enforcement"
        assert ask(of, None, "a", route=route).phase == "warning"
        assert ask(of, None, "b", route=route).phase == "detection"
    assert ask(engine(rollout(phase="detection")), None, route="//").phase == "detection"


def test_T4_two_routes_and_two_partners_get_the_strictest_under_a_canary() -> None:
    """The strictest is by the phase that holds for the partner, in whatever order they come."""
    inside, outside = sorted(("p1", "p2", "p3", "p4"), key=canary_position)[::3]
    share = (canary_position(inside) + canary_position(outside)) / 2
    canary = Stage(phase="enforcement", before="detection", canary_percent=share)
    state = MemoryState(Plan(stages={("", ""): stage("warning"), ("", "/pay"): canary}))
    of = engine(rollout(Partner(name=inside), Partner(name=outside), state=state))
    for routes in itertools.permutations(("/pay", "/open")):
        assert ask(of, None, outside, route=routes).phase == "warning"
        assert ask(of, None, inside, route=routes).phase == "enforcement"
    for names in itertools.permutations((inside, outside)):
        assert ask(of, None, names, route="/pay").phase == "enforcement"  # type: ignore[arg-type]
        assert ask(of, None, names, route="/pay").partner is None  # type: ignore[arg-type]
    assert ask(of, None, outside, route="//").phase == "warning"


def test_T5_a_routes_rollback_takes_longer_routes_and_partners_with_it() -> None:
    """Rolling back /pay takes back /pay/big, for everyone and for partners, and leaves /payment alone."""
    stages = {
        ("", ""): "detection",
        ("", "/pay"): "enforcement",
        ("", "/pay/big"): "enforcement",
        ("", "/payment"): "enforcement",
        ("a", "/pay/big"): "enforcement",
        ("b", ""): "enforcement",
    }
    policy = rollout(A, Partner(name="b"), state=plan(stages))
    after = policy.rollback(by="ann", route="/pay", to="warning")
    for partner, path, phase in (
        (None, "/pay/big/1", "warning"),
        ("a", "/pay/big", "warning"),
        ("b", "/pay/x", "warning"),
        ("b", "/pay/big", "warning"),
        ("b", "/open", "enforcement"),
        (None, "/payment", "enforcement"),
    ):
        assert after.find(partner, path)[1].phase_for(partner) == phase, (partner, path)


def test_the_longest_route_holds() -> None:
    """Of the routes that hold a path the longest counts, milder or stricter, for everyone and a partner."""
    stages = {
        ("", ""): "detection",
        ("", "/pay"): "enforcement",
        ("", "/pay/open"): "warning",
        ("", "/pay/open/x"): "enforcement",
        ("a", "/pay"): "detection",
        ("a", "/pay/open"): "enforcement",
    }
    of = engine(rollout(A, state=plan(stages), unattributed="default"))
    for partner, path, phase in (
        (None, "/pay/1", "enforcement"),
        (None, "/pay/open/1", "warning"),
        (None, "/pay/open/x/1", "enforcement"),
        ("a", "/pay/1", "detection"),
        ("a", "/pay/open/1", "enforcement"),
    ):
        assert ask(of, None, partner, route=path).phase == phase, (partner, path)


NFC, NFD = "/caf%C3%A9", "/cafe%CC%81"
"""One word, its last letter as one character, and as a letter and its accent."""


def test_another_normal_form_of_a_route_gets_the_strictest_stage() -> None:
    """A server that normalises paths takes both for one route: none of them is a way around its stage."""
    strict = plan({("", ""): "detection", ("", NFC): "enforcement"})
    policy = engine(rollout(state=strict))
    assert ask(policy, None, route=NFC).outcome == "deny"
    assert ask(policy, None, route=f"{NFD}/1").outcome == "deny"
    assert ask(policy, None, route="/other").outcome == "permit"
    assert (route_of(NFC), route_of(NFD)) == (NFC, None)
    with pytest.raises(ConfigurationError, match="a plain path"):
        rollout().promote(by="ann", route=NFD)


@pytest.mark.parametrize(
    ("text", "is_route"),
    [
        ("\u00e9", True),
        ("e\u0301", False),
        ("x\u0301", True),  # no character for both
        ("\u0301", True),
        ("\u2126", False),  # OHM SIGN is OMEGA in each normal form
        ("\uff76", False),  # a narrow KA is KA in compatibility forms
        ("\u30ab", True),
        ("\ud55c", True),
        ("\u1112\u1161\u11ab", False),  # the same syllable in three parts
        ("q\u0323\u0307", True),
        ("q\u0307\u0323", False),  # its accents in the other order
    ],
)
def test_a_route_is_text_that_normal_forms_leave_alone(text: str, is_route: bool) -> None:
    """NFC or NFKC of it is the text itself, or it is odd."""
    assert (route_of("/a/" + quote(text)) is not None) == is_route


def test_a_route_is_its_own_spelling_in_either_case() -> None:
    """Whatever character, with an accent or without, is spelled the same when its spelling is read again."""
    every = [*range(0x80, 0xD800), *range(0xE000, 0x1F000)]
    for number in [
        *every[::61],
        *range(0x300, 0x370),
        *(one for one in every if chr(one) != chr(one).lower()),
    ]:
        for text in (chr(number), f"J{chr(number)}", chr(number) + "\u030c"):
            for fold_case in (False, True):
                route = route_of("/" + quote(text), fold_case=fold_case)
                assert route is None or (route_of(route), route_of(route, fold_case=fold_case)) == (
                    route,
                    route,
                )


def test_the_turkish_i_is_one_with_the_others_where_case_does_not_count() -> None:
    """One case of each is ASCII: a server that ignores case reads ``/adm\u0131n`` as ``/ADMIN``."""
    for target in ("/adm%C4%B1n", "/ADM%C4%B0N", "/admin", "/ADMIN"):
        assert route_of(target, fold_case=True) == "/admin"
    assert route_of("/adm%C4%B1n") == "/adm%C4%B1n"

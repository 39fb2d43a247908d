"""Write docs/rollout-attribution.md: whose stage a request gets, asked of the code itself.

Run without arguments to write the page, with ``--check`` to fail where it is not current.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Final

from generated import write_or_check

from rapidjws.errors import error_for
from rapidjws.rollout import Partner, Stage
from rapidjws.rollout import routes as spelling
from rapidjws.rollout.attribution import Attribution, attribute, names_in, owners_of
from rapidjws.rollout.phases import Whose, bad_decision
from rapidjws.rollout.plan import PHASES, Plan
from rapidjws.rollout.routes import route_of
from rapidjws.rollout.stage_choice import StageChoice

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "rollout-attribution.md"
ISSUERS: Final = {"A's issuer": ("A",), "an issuer of C and D": ("C", "D"), "nobody's issuer": ()}
TOKENS: Final = (
    "none", "forged", "unknown kid", "expired", "wrong audience", "revoked", "good",
)  # fmt: skip
CODES: Final = {
    "none": "missing_token", "forged": "signature_invalid", "unknown kid": "unknown_kid",
    "expired": "expired", "wrong audience": "audience_mismatch", "revoked": "revoked",
}  # fmt: skip
PROVEN: Final = ("expired", "wrong audience", "revoked", "good")
NAMED: Final[dict[str, Any]] = {
    "nobody": None, "A": "A", "B": "B", "A and B": ("A", "B"), "a stranger": "stranger",
}  # fmt: skip
ROUTES: Final = (
    "/pay", "/pay/1?x=1", "/payment", "/%70ay", "/PAY", "/pay%20", "/pay.", "/p%u0061y", "/p%C1%A1y", "/pay#",
    "/open/../pay", "/open/%2e%2e/pay", "/open//pay", "/pay;v=1", "/open%2Fpay", "/pay%00", "/pay%25",
    "*", "",
)  # fmt: skip
PARTNERS: Final = {
    "A": Partner(name="A", issuers=["A's issuer"]),
    "B": Partner(name="B", issuers=["B's issuer"]),
    "C": Partner(name="C", issuers=["an issuer of C and D"]),
    "D": Partner(name="D", issuers=["an issuer of C and D"]),
}

HEAD: Final = """# Which stage a request gets

Made by `tools/rollout_attribution.py` from the code; do not edit it here.

A *stage* is a phase for a partner, a route, both or neither. A request gets the stage of the
partner that it is attributed to, on its route. Nobody profits from being unattributed:

1. The gateway's word comes first: the header `server.partner_header`, or `partner_of` of a
   middleware. A name that is not configured names nobody.
2. Where the gateway names nobody, the issuer under whose key the signature verified says whose the
   request is, also of a token that is expired, for another audience, revoked, or used before.
3. What an unverified token claims (its `iss`, or a `kid` of a configured key) attributes nothing.
   The stage of the partner that it names counts, if it is stricter than what the request gets
   without it, and the report counts it apart, as claimed,
   unless more than eight partners share what it names.
4. Where several partners fit (two names, a name and a token of another's issuer, an issuer of two
   partners) the strictest of their stages holds. A good token must then be good for each partner
   that the gateway named.
5. What nobody can be attributed to gets what `rollout.unattributed` says: `"default"`, the stage
   for everyone, or `"strictest"`, the strictest stage that any configured partner would get there.
   The choice must be written wherever one partner's stage is stricter than everyone's (a canary
   makes it so), unless the gateway names partners; else the configuration, or the promotion, is
   refused with `attribution_missing`.

A partner is in a canary of P percent if the first six octets of SHA-256("rapidjws canary" NUL
name), as a share of their range, lie below P percent: it depends on its name only. Whoever is no
partner joins at 100 percent.
"""
ROUTES_HEAD: Final = """
## Routes

A path is spelled once, by this rule:

{rule}

With `rollout.case_insensitive_routes`, upper and lower case are one route. Without it, a path that
differs from a route in case only gets the stricter of both stages. The plan of the table has a
stage on `/pay`:

| as it was sent | as it is looked up | stage |
| --- | --- | --- |
"""


def attributed(kind: str, iss: str, named: str) -> Attribution:
    """Return whose request it is, by the code."""
    error = error_for(CODES.get(kind, "missing_token"))
    error.issuer = iss if kind in PROVEN else None  # of a good token the code goes by the same attribute
    return attribute(
        error,
        names=names_in(NAMED[named]),
        token=None if kind == "none" else "a token",
        partners=PARTNERS,
        owners=owners_of(PARTNERS.values()),
        named_issuers=lambda token, issuer=None: (iss,),
    )


def in_words(who: Attribution) -> str:
    """Return whose stages count."""
    whose = [*who.choices, *(["unattributed"] if who.falls_back else [])]
    text = whose[0] if len(whose) == 1 else f"strictest of {', '.join(whose)}"
    return f"**{text}**" if who.partner is not None else text


def attribution_tables() -> list[str]:
    """Return a table an issuer: kinds of token by whom the gateway names."""
    lines = ["", "## Whose stages count", ""]
    lines += ["In bold where the request is attributed to a partner: its evidence counts for it.", ""]
    for iss in ISSUERS:
        lines += [f"A token of {iss}; the gateway names:", ""]
        lines += [f"| token | {' | '.join(NAMED)} |", f"| --- |{' --- |' * len(NAMED)}"]
        for kind in TOKENS:
            cells = [in_words(attributed(kind, iss, named)) for named in NAMED]
            lines.append(f"| {kind} | {' | '.join(cells)} |")
        lines.append("")
    return lines


def stage_of(phase: Any) -> Stage:
    """Return a stage of one phase."""
    return Stage(phase=phase, before=phase)


def route_table() -> list[str]:
    """Return what becomes of spellings."""
    plan = Plan(stages={("", ""): stage_of("detection"), ("", "/pay"): stage_of("enforcement")})
    choice = StageChoice({}, unattributed="default", fold_case=False)
    rule = (spelling.__doc__ or "").partition("in this order:\n\n")[2].rstrip().replace("``", "`")
    lines = [ROUTES_HEAD.format(rule=rule.replace("`\\`", "`` \\ ``")).rstrip("\n")]
    nobody = Attribution(None, "nobody", (), falls_back=True)
    for route in (*ROUTES, None, ("/open", "/pay")):
        spelled = None if isinstance(route, tuple) else route_of(route)
        shown = "two: `/open`, `/pay`" if isinstance(route, tuple) else f"`{route}`" if route else repr(route)
        chosen = choice.choose(plan, nobody, route, 0)
        looked_up = (
            "both" if isinstance(route, tuple) else f"`{spelled}`" if spelled else "none: the strictest"
        )
        lines.append(f"| {shown} | {looked_up} | {chosen.phase} |")
    return lines


def strictest_table() -> list[str]:
    """Return what a request of nobody's gets, by plan and choice."""
    lines = ["", "## What an unattributed request gets", ""]
    choices = ('`unattributed = "default"`', '`unattributed = "strictest"`')
    lines += [f"| everyone's stage | A's stage | {' | '.join(choices)} |", "| --- | --- | --- | --- |"]
    nobody = Attribution(None, "nobody", (), falls_back=True)
    for everyone, own in itertools.product(PHASES, PHASES):
        plan = Plan(stages={("", ""): stage_of(everyone), ("A", ""): stage_of(own)})
        found = [
            StageChoice(PARTNERS, unattributed=choice, fold_case=False).choose(plan, nobody, None, 0).phase
            for choice in ("default", "strictest")
        ]
        lines.append(f"| {everyone} | {own} | {found[0]} | {found[1]} |")
    return lines


def phase_table() -> list[str]:
    """Return what each phase makes of a request without a good token."""
    lines = ["", "## What a phase makes of a request without a good token", "",
             "| phase | a bad token, or none | on the allow-list | nothing can be known now |",
             "| --- | --- | --- | --- |"]  # fmt: skip
    listed = Partner(name="L", allow_listed_until_s=10)
    whose = Whose(name=None, by="nobody", route=None)
    for phase in PHASES:
        cells = [
            bad_decision(error_for(code), rules, whose, phase, stage_of(phase), 0)
            for code, rules in (
                ("expired", PARTNERS["A"]), ("expired", listed), ("keys_unavailable", PARTNERS["A"]),
            )
        ]  # fmt: skip
        shown = [one.outcome + (", with a warning" if one.warnings else "") for one in cells]
        lines.append(f"| {phase} | {' | '.join(shown)} |")
    return lines


def page() -> str:
    """Return the whole page."""
    parts = [HEAD.rstrip("\n"), *attribution_tables(), *strictest_table(), *route_table(), *phase_table()]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    raise SystemExit(write_or_check(PAGE, page()))

"""The faults of game days and of the tests of runbooks: how each is injected, and what the operator edits."""

from __future__ import annotations

import copy
import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws.contract.kit import Contract, init
from rapidjws.gameday.testbed import wait_until
from rapidjws.testing import make_key

if TYPE_CHECKING:
    from rapidjws.gameday.testbed import Testbed

Tables = dict[str, Any]


def _no_change(tables: Tables) -> None:
    """Change nothing."""


def _nothing(bed: Testbed) -> None:
    """Do nothing."""


def _good(bed: Testbed) -> str:
    """Return a token as the issuer makes it now."""
    return bed.token()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One fault.

    Attributes:
        name: Its name.
        title: What happens, a phrase.
        runbook: The runbook that ends it.
        inject: Injects it, and returns more variables for the runbook; writes the token it is about.
        ended: The status that the token of the fault gets once it is over.
        partner: Whose request it is, as the gateway names it, or None.
        start: Changes the configuration before the start.
        edit: What the operator changes in the configuration, where the runbook has an editor.
        alerts: Names of alerts of which the first should name the cause.
        redis: Whether a Redis is needed.
        planned: Whether nothing should fire.
        reported: Whether people report it, as no metric can tell; an alert comes once the runbook is applied.
        traffic: Makes the tokens of the first issuer from the fault on.
        yields: What others do once the cause is known and before the runbook is applied.
    """

    name: str
    title: str
    runbook: str
    inject: Callable[[Testbed], Mapping[str, str]]
    ended: int = 200
    partner: str | None = None
    start: Callable[[Tables], None] = _no_change
    edit: Callable[[Tables], None] = _no_change
    alerts: tuple[str, ...] = ()
    redis: bool = False
    planned: bool = False
    reported: bool = False
    traffic: Callable[[Testbed], str] = _good
    yields: Callable[[Testbed], None] = _nothing


def write_token(bed: Testbed, token: str, name: str = "token.txt") -> str:
    """Write a token where the runbook's commands read it; return it."""
    _files.replace(bed.folder / name, token.encode(), sync=False)
    return token


def write_edited(bed: Testbed, edit: Callable[[Tables], None]) -> None:
    """Write the configuration that the operator's editor will leave."""
    tables = copy.deepcopy(bed.tables)
    edit(tables)
    bed.write_config(tables, "edited.json")


# --- keys ------------------------------------------------------------------------------------------------


def _short_lives(tables: Tables) -> None:
    lives = {"default_ttl_s": 1.0, "min_ttl_s": 0.5, "max_ttl_s": 1.0, "stale_limit_s": 2.0}
    tables["issuers"][0] |= {**lives, "retry_min_s": 0.1, "retry_max_s": 0.3}


def _soon(tables: Tables) -> None:
    tables["issuers"][0]["cooldown_s"] = 0.5


def _outage(bed: Testbed) -> dict[str, str]:
    token = write_token(bed, bed.token())
    wait_until(lambda: bed.ask(token) == 200, "a good token is accepted")
    handed_over = bed.folder / "handed-over.json"
    _files.replace(handed_over, json.dumps({"keys": bed.issuer.published}).encode(), sync=False)
    bed.issuer.server.down()
    wait_until(lambda: bed.ask(token) == 503, "its keys are stale")
    return {"JWKS_FILE": str(handed_over)}


def _handed_over(tables: Tables) -> None:
    table = tables["issuers"][0]
    for name in list(table):
        if (name.endswith("_s") and name != "leeway_s") or name in ("jwks_url", "insecure_allow_http"):
            del table[name]
    table["jwks_file"] = "handed-over.json"


def _signs_before_it_publishes(bed: Testbed) -> dict[str, str]:
    issuer = bed.issuer
    old = issuer.published
    issuer.rotate(keep=1)
    bed.withheld, issuer.published = issuer.published, old
    token = write_token(bed, bed.token())
    fetches = len(issuer.requests)
    for _ in range(40):
        bed.ask(token)
    wait_until(lambda: len(issuer.requests) > fetches, "the unknown kid causes a fetch")
    wait_until(lambda: bed.ask(token) == 401, "the new kid is unknown")
    return {}


def _publishes(bed: Testbed) -> None:
    """Have the issuer publish the keys that it signs with; until then no fetch ends the fault by itself."""
    bed.issuer.published = bed.withheld


def _rotates(bed: Testbed) -> dict[str, str]:
    """Publish the new key first, and sign with it once every worker has it."""
    issuer = bed.issuer
    old = issuer.signers
    issuer.rotate(keep=1)
    new, issuer.signers = issuer.signers, old
    secret = (bed.folder / "hook-secret").read_text()
    bed.post("/hooks/jwks-rotated", {"Authorization": f"Bearer {secret}"})
    held = f'rapidjws_jwks_keys{{issuer="{issuer.iss}"}} 2'.encode()
    wait_until(lambda: held in bed.get("/metrics")[1], "each worker has both keys")
    issuer.signers = new
    write_token(bed, bed.token())
    return {}


def _publishes_a_bad_key(bed: Testbed) -> dict[str, str]:
    private = make_key("ES256", kid="published-by-mistake")
    issuer, kid = bed.issuer, _kid(bed)
    issuer.published = [private.as_dict(private=True), *issuer.published]
    old = bed.token()
    issuer.rotate(keep=2)
    write_token(bed, old)
    write_token(bed, bed.token(), "new-token.txt")
    return {"KID": kid, "NEW_TOKEN": str(bed.folder / "new-token.txt")}


def _kid(bed: Testbed) -> str:
    """Return the kid that the issuer signs with now."""
    return str(next(iter(bed.issuer.signers.values())).kid)


def _one_key(bed: Testbed) -> dict[str, str]:
    token = write_token(bed, bed.token())
    wait_until(lambda: bed.ask(token) == 200, "a good token is accepted")
    return {"KID": _kid(bed)}


def _compromise(bed: Testbed) -> dict[str, str]:
    token = write_token(bed, bed.token())
    wait_until(lambda: bed.ask(token) == 200, "a good token is accepted")
    kid = _kid(bed)
    bed.issuer.rotate(keep=1)
    write_token(bed, bed.token(), "new-token.txt")
    return {"KID": kid, "NEW_TOKEN": str(bed.folder / "new-token.txt")}


def _withdrawn(bed: Testbed) -> dict[str, str]:
    token = write_token(bed, bed.token())
    wait_until(lambda: bed.ask(token) == 200, "a good token is accepted")
    bed.issuer.rotate(keep=0)
    return {}


def _unknown_kid(bed: Testbed) -> str:
    claims = bed.issuer.claims(int(time.time()))
    return bed.issuer.token(claims, header={"kid": secrets.token_hex(8)})


def _flood(bed: Testbed) -> dict[str, str]:
    write_token(bed, bed.token())
    return {}


# --- claims, clocks, stores ------------------------------------------------------------------------------


def _another_audience(bed: Testbed) -> dict[str, str]:
    wait_until(lambda: bed.ask(bed.token()) == 200, "a good token is accepted")
    write_token(bed, bed.token(aud="https://moved.example"))
    return {}


def _audience_taken_over(tables: Tables) -> None:
    audience = tables["issuers"][0].get("audience", [])
    tables["issuers"][0]["audience"] = [
        *([audience] if isinstance(audience, str) else audience),
        "https://moved.example",
    ]


AHEAD_S: Final = 300


def _clock_ahead(bed: Testbed) -> dict[str, str]:
    wait_until(lambda: bed.ask(bed.token()) == 200, "a good token is accepted")
    write_token(bed, bed.token(ahead_s=AHEAD_S))
    return {}


def _from_the_future(bed: Testbed) -> str:
    return bed.token(ahead_s=AHEAD_S)


def _wider_leeway(tables: Tables) -> None:
    tables["issuers"][0]["leeway_s"] = 600


def _store_gone(bed: Testbed) -> dict[str, str]:
    wait_until(lambda: bed.ask(bed.token()) == 200, "a good token is accepted")
    bed.stop("redis", signal.SIGKILL)
    write_token(bed, bed.token())
    return {}


# --- the service and the rollout -------------------------------------------------------------------------


def _no_tables(tables: Tables) -> None:
    tables.setdefault("engine", {})["precompute_budget_bytes"] = 0


def _with_tables(tables: Tables) -> None:
    tables["engine"].pop("precompute_budget_bytes", None)


def _slow(bed: Testbed) -> dict[str, str]:
    token = write_token(bed, bed.token())
    wait_until(lambda: bed.ask(token) == 200, "a good token is accepted")
    return {}


def _partner_not_ready(bed: Testbed) -> dict[str, str]:
    iss, audience = bed.issuer.iss, bed.issuer.audience or "us"
    made = Contract(partner="shop", our_iss="https://us.example", our_audience="shop", their_iss=iss,
                    their_audience=audience, algorithms=tuple(bed.issuer.algorithms))  # fmt: skip
    init(bed.folder / "shop", made)
    wait_until(lambda: bed.ask(bed.token()) == 200, "a good token is accepted")
    write_token(bed, bed.token(aud="https://not-agreed.example"))
    return {"PARTNER": "shop", "CONTRACT": str(bed.folder / "shop")}


def _promoted_too_early(bed: Testbed) -> dict[str, str]:
    write_token(bed, bed.token(aud="https://moved.example"))
    return {"PARTNER": "shop"}


def _replaced(bed: Testbed, pid: int) -> bool:
    now = bed.workers()
    return pid not in now and len(now) == 2


def _workers_end(bed: Testbed) -> dict[str, str]:
    token = write_token(bed, bed.token())
    wait_until(lambda: bed.ask(token) == 200, "a good token is accepted")
    for _ in range(3):
        before = wait_until(bed.workers, "workers")
        os.kill(before[0], signal.SIGKILL)
        wait_until(partial(_replaced, bed, before[0]), "it is replaced")
    wait_until(lambda: bed.get("/readyz")[0] == 200, "the service is ready again")
    return {}


SCENARIOS: Final = {
    one.name: one
    for one in (
        Scenario(name="planned-rotation", title="an issuer rotates its keys as announced",
                 runbook="cache-flush", inject=_rotates, planned=True),
        Scenario(name="rotation-gone-wrong", title="an issuer signs with a key before it publishes it",
                 runbook="rotation-gone-wrong", inject=_signs_before_it_publishes, start=_soon,
                 yields=_publishes,
                 alerts=("RotationGoneWrong", "UnknownKidFlood")),
        Scenario(name="issuer-outage", title="an issuer's JWK Set cannot be fetched until its keys are stale",
                 runbook="jwks-down", inject=_outage, start=_short_lives, edit=_handed_over,
                 alerts=("KeysUnavailable", "JWKSFetchFailing", "NotReady")),
        Scenario(name="compromise", title="a private key is in foreign hands", runbook="key-compromise",
                 inject=_compromise, ended=401, reported=True,
                 alerts=("KeyCompromiseSign", "RevokedKeyUsed")),
        Scenario(name="clock-skew", title="an issuer's clock is 300 s ahead", runbook="clock-skew",
                 inject=_clock_ahead, edit=_wider_leeway, traffic=_from_the_future,
                 alerts=("ClockRefusals", "IssuerClockAhead")),
        Scenario(name="replay-store-down", title="the Redis of the replay store is gone",
                 runbook="replay-store-down", inject=_store_gone, redis=True, alerts=("ReplayStoreDown",)),
        Scenario(name="bad-key", title="an issuer publishes a private key", runbook="key-compromise",
                 inject=_publishes_a_bad_key, ended=401, alerts=("KeyCompromiseSign",)),
        Scenario(name="flood", title="a stranger sends tokens that name unknown keys",
                 runbook="rotation-gone-wrong", inject=_flood, traffic=_unknown_kid,
                 alerts=("UnknownKidFlood", "RotationGoneWrong")),
        Scenario(name="verification-failures", title="an issuer's audience changed",
                 runbook="verification-failures", inject=_another_audience, edit=_audience_taken_over,
                 alerts=("VerificationBurnFast", "ClaimFailures")),
        Scenario(name="emergency-revoke", title="a key must not be accepted any more",
                 runbook="emergency-revoke", inject=_one_key, ended=401, alerts=("RevokedKeyUsed",)),
        Scenario(name="cache-flush", title="an issuer withdrew a key that may still be cached",
                 runbook="cache-flush", inject=_withdrawn, ended=401),
        Scenario(name="latency", title="no memory for precomputed tables", runbook="latency", inject=_slow,
                 start=_no_tables, edit=_with_tables, alerts=("LatencyHigh",)),
        Scenario(name="partner-onboarding", title="a new partner's tokens are not what was agreed",
                 runbook="partner-onboarding", partner="shop", inject=_partner_not_ready,
                 alerts=("PartnerRefusedWhole",)),
        Scenario(name="enforcement-rollback", title="enforcement came too early",
                 runbook="enforcement-rollback", inject=_promoted_too_early,
                 alerts=("RefusedAfterPromotion", "PartnerRefusedWhole")),
        Scenario(name="workers", title="workers end again and again", runbook="workers", inject=_workers_end,
                 alerts=("WorkerFlapping",)),
    )
}  # fmt: skip
"""Every fault by its name."""

GAME_DAYS: Final = (
    "planned-rotation", "rotation-gone-wrong", "issuer-outage", "compromise", "clock-skew",
    "replay-store-down", "bad-key", "flood",
)  # fmt: skip
"""The faults that ``rapidjws gameday`` runs."""

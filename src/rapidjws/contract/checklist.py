"""The production checklist, walked with our own engine set up as for the partner.

What a program cannot see (alerts) is attested in the contract, or stays open.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws.contract.kit import ATTESTED, Contract
from rapidjws.contract.rehearsals import audit_rehearsal, rollback_rehearsal
from rapidjws.contract.samples import Maker, Sample, make_samples
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.keys.fetch import Answer
from rapidjws.keys.remote import RemoteJWKS
from rapidjws.keys.settings import UnknownKids
from rapidjws.testing.keys import make_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rapidjws.jose.jwk import JWK

Status = Literal["pass", "fail", "open"]
ROTATIONS: Final = 40
REFRESH_WAIT_S: Final = 10.0
REFRESH_STEP_S: Final = 0.005
_TITLES: Final = {
    "valid": "A valid token passes",
    "valid-whitespace": "White space in the payload is kept as signed",
    "skew-inside": "Clock skew inside the tolerance passes",
    "skew-outside": "Clock skew outside the tolerance is refused",
    "expired": "An expired token is refused",
    "tampered": "A tampered token is refused",
    "wrong-key": "A token of another key is refused",
    "unsecured": "alg none is refused",
    "alg-substitution": "Algorithm substitution is refused",
    "unknown-kid": "An unknown kid is refused",
    "wrong-audience": "A token for another audience is refused",
    "wrong-issuer": "A token of another issuer is refused",
    "line-break-inside": "White space inside the token is refused",
    "padded": "Padded base64url is refused",
    "unknown-crit": "An unknown critical extension is refused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of a contract report.

    Attributes:
        group: ``"theirs"``, ``"ours"``, ``"keys"`` or ``"checklist"``.
        name: A stable word.
        title: One sentence.
        status: ``"pass"``, ``"fail"``, or ``"open"`` where somebody still has to do something.
        detail: What was seen.
    """

    group: str
    name: str
    title: str
    status: Status
    detail: str

    def as_dict(self) -> dict[str, str]:
        """Return the item as flat values."""
        return {
            "group": self.group,
            "name": self.name,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }


def verdict_on(engine: Engine, token: str, now: float | None) -> tuple[str, str]:
    """Return ``"accepted"`` or ``"refused"``, and the code."""
    try:
        engine.verify(token, now)
    except RapidJWSError as refused:
        return "refused", refused.code
    return "accepted", ""


def engine_for(contract: Contract, keys: Any, now_s: float) -> Engine:
    """Return an engine set up as for this partner's tokens."""
    return Engine(
        Issuer(
            contract.their_iss,
            keys=keys,
            algorithms=contract.algorithms,
            audience=contract.their_audience,
            leeway_s=contract.leeway_at(now_s),
        )
    )


def walk(contract: Contract, now_s: int) -> list[Item]:
    """Walk the checklist.

    Args:
        contract: What was agreed.
        now_s: The time of the check, seconds since the epoch.

    Returns:
        One item a line.
    """
    alg = contract.algorithms[0]
    key = make_key(alg, kid="checklist-1")
    maker = Maker(key, alg, contract, now_s, iss=contract.their_iss, audience=contract.their_audience)
    engine = engine_for(contract, key.public(), now_s)
    samples = make_samples(maker)
    items = [_sample_item(engine, sample) for sample in samples]
    items.append(_refresh(contract, maker, now_s))
    items.append(_rotation(contract, maker, now_s))
    items += _rehearsed(contract, engine, samples, now_s)
    items += [_attested(contract, name) for name in ATTESTED]
    return items


def _sample_item(engine: Engine, sample: Sample) -> Item:
    """Verify one sample as the partner's."""
    verdict, code = verdict_on(engine, sample.token, sample.check_at)
    return Item(
        group="checklist",
        name=sample.name,
        title=_TITLES[sample.name],
        status="pass" if verdict == sample.expect else "fail",
        detail=f"{verdict}{f' ({code})' if code else ''}: {sample.why}",
    )


def _next(contract: Contract, maker: Maker, now_s: int) -> tuple[JWK, Maker]:
    """Return the partner's next key, and what signs with it."""
    key = make_key(maker.alg, kid="checklist-2")
    return key, Maker(
        key, maker.alg, contract, now_s, iss=contract.their_iss, audience=contract.their_audience
    )


def _refresh(contract: Contract, maker: Maker, now_s: int) -> Item:
    """Meet a token of a key published meanwhile: it is unknown, triggers a fetch, and is good after it."""
    key, later = _next(contract, maker, now_s)
    token, published = later.token(), [maker.key.public()]

    def publish(url: str, etag: str | None) -> Answer:
        body = json.dumps({"keys": [one.as_dict() for one in published]}).encode()
        return Answer(status=200, headers={"cache-control": "max-age=300"}, body=body)

    if maker.key.is_symmetric:  # secrets are never fetched
        return _refreshed("not applicable to shared secrets", good=True)
    at_once = UnknownKids(cooldown_s=REFRESH_STEP_S)  # the cool-down is tested elsewhere
    source = RemoteJWKS("https://checklist.example/jwks.json", fetch=publish, unknown_kids=at_once)
    engine = engine_for(contract, source, now_s)
    _until(lambda: source.ready)
    published.append(key.public())
    before = verdict_on(engine, token, now_s)  # the unknown kid itself asks for the fetch
    turned = _until(lambda: verdict_on(engine, token, now_s)[0] == "accepted")
    good = before == ("refused", "unknown_kid") and turned
    after = f"after {source.status().fetches} fetches: {'accepted' if turned else 'still refused'}"
    return _refreshed(f"before: {before[1] or before[0]}, {after}", good=good)


def _until(done: Callable[[], bool]) -> bool:
    """Wait for something, within a bound."""
    end = time.monotonic() + REFRESH_WAIT_S
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(REFRESH_STEP_S)
    return True


def _refreshed(detail: str, *, good: bool) -> Item:
    """Return the line of the refresh."""
    return Item(
        group="checklist",
        name="unknown-kid-refresh",
        title="An unknown kid triggers a refresh, and is good after it",
        status="pass" if good else "fail",
        detail=detail,
    )


def _rotation(contract: Contract, maker: Maker, now_s: int) -> Item:
    """Rotate keys while tokens of both are being verified: none may be refused."""
    key, later = _next(contract, maker, now_s)
    both = JWKSet((maker.key.public(), key.public()))
    turned = JWKSet((key.public(), maker.key.public()))
    engine = engine_for(contract, both, now_s)
    tokens = (maker.token(), later.token())
    refused: list[str] = []
    done = threading.Event()
    counts = [0]

    def verify() -> None:
        while not done.is_set():
            for token in tokens:
                verdict, code = verdict_on(engine, token, now_s)
                counts[0] += 1
                if verdict != "accepted":
                    refused.append(code)

    worker = threading.Thread(target=verify)
    try:
        worker.start()
    except RuntimeError as fault:  # no thread to be had
        return Item(
            group="checklist",
            name="rotation-under-load",
            title="Rotation during requests refuses nothing",
            status="open",
            detail=f"not tried: {fault}",
        )
    for turn in range(ROTATIONS):
        engine.replace_keys(contract.their_iss, turned if turn % 2 else both)
    done.set()
    worker.join()
    return Item(
        group="checklist",
        name="rotation-under-load",
        title="Rotation during requests refuses nothing",
        status="fail" if refused else "pass",
        detail=f"{ROTATIONS} rotations, {len(refused)} refusals",
    )


def _rehearsed(contract: Contract, engine: Engine, samples: Sequence[Sample], now_s: int) -> list[Item]:
    """Verify an audit trail of the samples again, and roll enforcement back."""
    tokens = {sample.name: sample.token for sample in samples}
    audit = audit_rehearsal(engine, samples, now_s)
    rollback = rollback_rehearsal(engine, tokens["tampered"], tokens["valid"], contract.partner, now_s)
    rows = (
        ("audit-reverified", "Audit records re-verify, and an altered one is found", audit,
         f"{len(samples)} decisions verified again without the engine"),
        ("rollback-tested", "A rollback of enforcement takes effect at once", rollback,
         "detection, enforcement and back, with a good and a bad token"),
    )  # fmt: skip
    return [
        Item(group="checklist", name=name, title=title, status="pass" if fault is None else "fail",
             detail=fault or done)
        for name, title, fault, done in rows
    ]  # fmt: skip


_ATTESTED_TITLES: Final = {
    "alerts_configured": "Alerts are configured",
}


def _attested(contract: Contract, name: str) -> Item:
    """Return what somebody attested, or an open item."""
    who = contract.attested.get(name)
    return Item(
        group="checklist",
        name=name.replace("_", "-"),
        title=_ATTESTED_TITLES[name],
        status="pass" if who else "open",
        detail=f"attested: {who}" if who else f"attest it in contract.json: attested.{name}",
    )

"""What DPoP remembers: nonces, uses of proofs and keys, each bounded, none of it from a refused proof."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import dpop
import pytest
import tokens
from dpop import NOW_S, bound_token, constraints, engine, outcome, proof, sent
from settings import changed, written

from rapidjws import ConfigurationError
from rapidjws.cli.config_check import problems_of
from rapidjws.sender import DPoP, DPoPNonces, SenderConstraints
from rapidjws.sender.proof_keys import ProofKeys
from rapidjws.sidecar.settings import ServerSettings, settings_from
from rapidjws.stores import MemoryReplayStore


def test_nonces_are_required_offered_and_expire() -> None:
    """A nonce of this period or the one before is taken; a missing, made-up, early or old one is not."""
    nonces = DPoPNonces(secrets=[b"s" * 32], period_s=60)
    checks, token, now_ns = constraints(nonces=nonces), bound_token(), NOW_S * 10**9
    current, before = nonces.issue(now_ns), nonces.issue(now_ns - 60 * 10**9)
    other = DPoPNonces(secrets=[b"t" * 32], period_s=60)
    for nonce, code in (
        (current, "ok"),
        (before, "ok"),
        (nonces.issue(now_ns - 120 * 10**9), "dpop_nonce_required"),
        (nonces.issue(now_ns + 60 * 10**9), "dpop_nonce_required"),
        (other.issue(now_ns), "dpop_nonce_required"),
        (nonces.issue(now_ns, "another context"), "dpop_nonce_required"),
        (None, "dpop_nonce_required"),
        ("", "dpop_nonce_required"),
        (7, "dpop_nonce_required"),
    ):
        assert outcome(sent(token, proof(token, nonce=nonce)), token, checks)[0] == code, nonce
    offered = constraints(nonces=DPoPNonces(secrets=[b"s" * 32], period_s=60, required=False))
    assert outcome(sent(token, proof(token)), token, offered)[0] == "ok"
    assert outcome(sent(token, proof(token, nonce="made up")), token, offered)[0] == "dpop_nonce_required"


def test_nonces_hold_over_workers_and_a_change_of_the_secret() -> None:
    """Who has the same secrets accepts the same nonces; a second secret is accepted, the first makes them."""
    old, new = b"o" * 32, b"n" * 32
    now_ns = NOW_S * 10**9
    rolling = DPoPNonces(secrets=[new, old])
    assert DPoPNonces(secrets=[old]).issue(now_ns) == DPoPNonces(secrets=[old]).issue(now_ns)
    assert rolling.accepts(DPoPNonces(secrets=[old]).issue(now_ns), now_ns)
    assert rolling.issue(now_ns) == DPoPNonces(secrets=[new]).issue(now_ns)
    assert not DPoPNonces(secrets=[new]).accepts(DPoPNonces(secrets=[old]).issue(now_ns), now_ns)
    assert "oooo" not in repr(rolling)


def test_several_workers_need_a_store_that_they_share(tmp_path: Path) -> None:
    """Each worker would take a proof once: neither a check of the file nor a start lets that pass."""
    tables = changed("server", "workers", 2)
    assert problems_of(written(tmp_path, tables), partial(settings_from, folder=tmp_path), files=False) == []
    del tables["replay"]["redis"]
    problems = problems_of(written(tmp_path, tables), partial(settings_from, folder=tmp_path), files=False)
    assert [one.key for one in problems] == ["server.workers", "signals.issuers"]
    with pytest.raises(ConfigurationError) as refused:
        ServerSettings(workers=2, sender=constraints())
    assert refused.value.place == "server.workers"


class Full(MemoryReplayStore):
    """A store that cannot tell."""

    def record(self, entries: Any) -> list[bool | None]:
        """Return that nothing is known."""
        return [None for _ in entries]


class Broken(MemoryReplayStore):
    """A store that fails."""

    def record(self, entries: Any) -> list[bool | None]:
        """Fail."""
        raise OSError("down")


@pytest.mark.parametrize("store", [Full(), Broken()], ids=["full", "broken"])
def test_a_store_that_cannot_tell_is_no_permit_unless_chosen(store: MemoryReplayStore) -> None:
    """Indeterminate by default; the operator may choose to let pass."""
    token = bound_token()
    denied = engine().decide(
        token, now=NOW_S, sender=constraints(replay=store).check(sent(token, proof(token)))
    )
    assert (denied.outcome, denied.code) == ("indeterminate", "replay_store_unavailable")
    taken = constraints(replay=store, on_failure="accept")
    assert outcome(sent(token, proof(token)), token, taken)[0] == "ok"


def test_keys_of_proofs_are_bounded_and_of_good_proofs_only() -> None:
    """Refused proofs leave no key behind; of many clients the latest are kept."""
    checks = DPoP(external_origins=dpop.ORIGIN, max_keys=2)
    keys: ProofKeys = checks._keys
    made = engine()
    for name in ("c1", "c2", "c3"):
        token = bound_token(name=name)
        forged = proof(token, name=name, signed_by=tokens.key("ES256", "thief"))
        before = len(keys)
        sender = SenderConstraints(dpop=checks)
        assert made.decide(token, now=NOW_S, sender=sender.check(sent(token, forged))).outcome == "deny"
        assert len(keys) == before
        good = sender.check(sent(token, proof(token, name=name)))
        assert made.decide(token, now=NOW_S, sender=good).code == "ok"
    assert len(keys) == 2


def test_a_precomputed_table_changes_no_verdict() -> None:
    """A key with a table takes the same proofs, and refuses the same, as one without."""
    checks, token = constraints(), bound_token()
    assert checks.dpop is not None
    good = proof(token)
    head, _, signature = good.rpartition(".")
    key = checks.dpop._keys.key_of(good.partition(".")[0].encode())
    octets = tokens.b64url_decode(signature)
    key.build(head.encode(), octets)
    assert key._table is not None
    for at in range(64):
        changed = octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]
        assert not key.verify(head.encode(), changed)
    assert not key.verify(head.encode(), bytes(64))
    assert not key.verify(head.encode() + b"x", octets)
    assert key.verify(head.encode(), octets)


def test_what_is_verified_together_is_compared_as_all_is() -> None:
    """Where the core knows token and client, a second member of ``cnf`` still refuses, and a foreign key."""
    checks, deciding = constraints(), engine()
    bound = {"jkt": dpop.thumbprint()}

    def decided(**claims: Any) -> tuple[str, bool]:
        token = bound_token(**claims)
        check = checks.check(sent(token, proof(token)))
        decision = deciding.decide(token.encode(), now=NOW_S, sender=check)
        return decision.code, check._proved is not None

    assert decided() == ("ok", False)
    assert decided() == ("ok", True)
    for cnf, code in (
        ({**bound, "kid": "1"}, "binding_unchecked"),
        ({**bound, "x5t#S256": "A" * 43}, "bound_twice"),
        ({"jkt": "A" * 43}, "binding_mismatch"),
        ({"jkt": "\u00e9" * 43}, "malformed_claim"),
        ({"jkt": "A" * 42}, "malformed_claim"),
        ({"x5t#S256": bound["jkt"]}, "token_not_bound"),
        ([bound], "malformed_claim"),
        (None, "token_not_bound"),
    ):
        assert decided(cnf=cnf) == (code, True), cnf
    assert decided() == ("ok", True)

"""Keys that tokens bring in ``x5c``, as far as their chain ends at a pinned root (RFC 7515 s.4.1.6)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, ClassVar, Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwks import JWKSet
from rapidjws.keys.chain import ChainChecker, Leaf, Roots
from rapidjws.keys.source import Source
from rapidjws.keys.x5c_policy import X5CPolicy
from rapidjws.verify.protocols import Clock, EventListener, no_events

AHEAD_S: Final = 300.0
"""How far ahead of now a token may say it was signed."""

LEAVES_MAX: Final = 65_536


class X5CKeys(Source):
    """Keys out of the certificates in an issuer's tokens; give it to ``Issuer(keys=...)``.

    A chain is trusted as far as it ends at one of the roots and meets the policy; nothing is fetched, so
    whether a certificate was revoked by its authority is not asked. Leaves whose signature was good are
    remembered, so that their next tokens cost what those of any key cost.

    Args:
        roots: The pinned roots: PEM text, or files of PEM or DER. Their dates count like those of a chain's
            other certificates: a root that has ended vouches for no token of a later time.
        policy: The demands on a chain, or the name of a profile: see :class:`X5CPolicy`.
        max_leaves: Most leaves remembered; where there are more, those learned first are forgotten.
        events: Listener.
        clock: Both times.

    Raises:
        ConfigurationError: ``configuration_invalid``: among others, a root that is no authority.
    """

    on_demand: ClassVar[bool] = True

    @checked(but=("roots",))
    def __init__(
        self,
        roots: Roots | Iterable[Roots],
        *,
        policy: X5CPolicy | str | None = None,
        max_leaves: int = 256,
        events: EventListener = no_events,
        clock: Clock | None = None,
    ) -> None:
        super().__init__("x5c", events, clock)
        check_range("max_leaves", max_leaves, 1, LEAVES_MAX)
        chosen = X5CPolicy.named(policy) if isinstance(policy, str) else policy or X5CPolicy()
        self._checker = ChainChecker(roots, chosen)
        self._max_leaves = max_leaves
        self._leaves: dict[str, Leaf] = {}
        self._chains: dict[bytes, str] = {}
        self._publish_keys(JWKSet())

    @property
    def policy(self) -> X5CPolicy:
        """Return the demands on a chain."""
        return self._checker.policy

    @property
    def reads_claims(self) -> bool:
        """Return whether a token's payload may say when its chain must hold."""
        return self._checker.policy.time == "token"

    # --- for the verification ----------------------------------------------------------------------------

    def leaf_for(self, header: Mapping[str, Any], claims: Mapping[str, Any], now_s: float) -> Leaf:
        """Return the leaf of a token's chain, checked at its time.

        Args:
            header: The members of the protected header.
            claims: The unverified claims: they say when the token was signed, where the policy asks that.
            now_s: Seconds since the epoch.

        Raises:
            HeaderRefused: ``chain_refused``.
        """
        at_s = self._moment_s(header, claims, now_s)
        chain = header.get("x5c")
        known = self._leaves.get(self._chains.get(_mark(chain), ""))
        if known is not None:
            _check_window(known, at_s)
            return known
        return self._checker.leaf_of(chain, at_s)

    def learn(self, chain: Any, leaf: Leaf) -> None:
        """Remember a leaf whose signature was good, and its chain to the letter."""
        kid = str(leaf.jwk.kid)
        with self._lock:
            if len(self._chains) >= 4 * self._max_leaves:
                self._chains = {}
            if kid not in self._leaves:
                if len(self._leaves) >= self._max_leaves:
                    kept = list(self._leaves.items())[max(1, self._max_leaves // 8) :]
                    self._leaves = dict(kept)
                    self._chains = {mark: of for mark, of in self._chains.items() if of in self._leaves}
                self._leaves = {**self._leaves, kid: leaf}
            self._chains[_mark(chain)] = kid
            self._publish_keys(JWKSet(one.jwk for one in self._leaves.values()))

    def refusal(
        self, kid: str | None, header: Mapping[str, Any], claims: Mapping[str, Any], now_s: float
    ) -> RapidJWSError | None:
        """Return why a token of a remembered leaf is refused at its time, or None."""
        leaf = self._leaves.get(kid or "")
        if leaf is None:  # forgotten meanwhile: the chain is checked once more
            try:
                self.leaf_for(header, claims, now_s)
            except RapidJWSError as refused:
                return refused.with_traceback(None)
            return None
        try:
            _check_window(leaf, self._moment_s(header, claims, now_s))
        except RapidJWSError as refused:
            return refused.with_traceback(None)
        return None

    def fault_of(
        self, header: Mapping[str, Any], claims: Mapping[str, Any], now_s: float
    ) -> tuple[str, str] | None:
        """Return the mistake for which a token's chain is refused, and what it was seen by; None for unknown.

        Args:
            header: The members of the protected header.
            claims: The unverified claims.
            now_s: Seconds since the epoch.
        """
        at_s = now_s if self._checker.policy.time == "now" else _signed_at_s(header, claims)
        if header.get("x5c") is not None and at_s is None:
            return "chain_time_missing", "no iat or sigT in the header, no signedDate or iat in the payload"
        if at_s is not None and not 0 <= at_s <= now_s + AHEAD_S:
            return "chain_time_wrong", f"signed at {at_s:.0f} by its own word; here it is {now_s:.0f}"
        return self._checker.fault_of(header.get("x5c"), now_s if at_s is None else at_s)

    def _moment_s(self, header: Mapping[str, Any], claims: Mapping[str, Any], now_s: float) -> float:
        if self._checker.policy.time == "now":
            return now_s
        at_s = _signed_at_s(header, claims)
        if at_s is None:
            raise error_for("chain_refused", "header.x5c", "a time of signing: iat, sigT or signedDate")
        if not 0 <= at_s <= now_s + AHEAD_S:
            raise error_for("chain_refused", "header.x5c", "a time of signing that is not ahead")
        return at_s


def _check_window(leaf: Leaf, at_s: float) -> None:
    if not leaf.first_s <= at_s <= leaf.last_s:
        raise error_for("chain_refused", "header.x5c", "a chain that holds at its time")


def _mark(chain: Any) -> bytes:
    """Return what stands for a chain as the header spells it; one byte more or less is another."""
    if not isinstance(chain, list) or not all(isinstance(one, str) for one in chain):
        return b""
    digest = hashlib.sha256()
    for one in chain:
        octets = one.encode("utf-8", "surrogatepass")
        digest.update(len(octets).to_bytes(4, "big") + octets)
    return digest.digest()


def _signed_at_s(header: Mapping[str, Any], claims: Mapping[str, Any]) -> float | None:
    """Return when a token says it was signed, seconds since the epoch.

    Source: ETSI TS 119 182-1 s.5.1.11 (iat), s.5.2.1 (sigT); Apple, signedDate in milliseconds.
    """
    if "iat" in header:
        return _number(header["iat"])
    if "sigT" in header:
        return _date_s(header["sigT"])
    if "signedDate" in claims:
        found = _number(claims["signedDate"])
        return None if found is None else found / 1000
    return _number(claims.get("iat"))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e14:
        return None
    return float(value)


def _date_s(value: Any) -> float | None:
    if not isinstance(value, str) or len(value) != 20 or not value.endswith("Z"):
        return None
    try:
        moment = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return None
    return moment.replace(tzinfo=timezone.utc).timestamp()

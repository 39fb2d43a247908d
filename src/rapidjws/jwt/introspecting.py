"""Tokens of which an authorization server is asked (RFC 7662), after the signature or in its place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rapidjws._checks import refused
from rapidjws.errors import error_for
from rapidjws.jwt.clock import present_ns
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from rapidjws.jwt.decision import Names, TokenIntrospection
    from rapidjws.verify.pipeline import Snapshot
    from rapidjws.verify.protocols import SenderCheck
    from rapidjws.verify.result import VerifiedJWS
    from rapidjws.verify.revocations import Revocations
    from rapidjws.verify.snapshot import Token

_METHODS = ("is_opaque", "is_known", "check", "introspected")


class EngineIntrospection:
    """The part of an engine that asks an authorization server; ``decide`` alone does, ``verify`` never."""

    __slots__ = ()

    if TYPE_CHECKING:
        _introspection: TokenIntrospection | None
        _snapshot: Snapshot
        _revocations: Revocations
        _is_lost: bool

        def _verify_as_of(
            self, token: Token, as_of_ns: int, now_ns: int, sender: SenderCheck | None = None
        ) -> VerifiedJWS: ...
        def _averify_as_of(
            self, token: Token, as_of_ns: int, now_ns: int, sender: SenderCheck | None = None
        ) -> Awaitable[VerifiedJWS]: ...
        def _named_issuers(self, token: Token, signer: str | None = None) -> tuple[str, ...]: ...
        def _is_blocking(self, sender: SenderCheck | None) -> bool: ...

    @property
    def introspection(self) -> TokenIntrospection | None:
        """Return whom ``decide`` asks about tokens, or None."""
        return self._introspection

    @introspection.setter
    def introspection(self, introspection: TokenIntrospection | None) -> None:
        if introspection is not None and not all(
            callable(getattr(introspection, name, None)) for name in _METHODS
        ):
            raise refused("introspection", "an Introspection, or an object with its methods", introspection)
        self._introspection = introspection  # type: ignore[misc]  # a slot of Engine

    def _verify_asking(
        self, route: Names, sender: SenderCheck | None, token: Token, now: float | None = None
    ) -> VerifiedJWS:
        """Verify one token, and ask about it where that is due."""
        now_ns = present_ns(now)
        return self._verify_asking_as_of(route, sender, token, now_ns, now_ns)

    def _verify_asking_as_of(
        self, route: Names, sender: SenderCheck | None, token: Token, as_of_ns: int, now_ns: int
    ) -> VerifiedJWS:
        """Verify one token by the rules of another moment, and ask about it where that is due."""
        introspection = self._introspection
        if introspection is None:  # taken away meanwhile: nobody knows
            raise error_for("introspection_unavailable", "introspection")
        if introspection.is_opaque(token):
            return self._opaque(introspection, sender, token, as_of_ns, now_ns)
        named = partial(self._named_issuers, token)
        return self._verify_as_of(token, as_of_ns, now_ns, introspection.check(token, route, sender, named))

    async def _averify_asking(
        self, route: Names, sender: SenderCheck | None, token: Token, now: float | None = None
    ) -> VerifiedJWS:
        """Verify from asyncio as ``_verify_asking`` does; on a thread where somebody waits."""
        now_ns = present_ns(now)
        return await self._averify_asking_as_of(route, sender, token, now_ns, now_ns)

    async def _averify_asking_as_of(
        self, route: Names, sender: SenderCheck | None, token: Token, as_of_ns: int, now_ns: int
    ) -> VerifiedJWS:
        """Verify from asyncio as ``_verify_asking_as_of`` does."""
        introspection = self._introspection
        if introspection is None:
            raise error_for("introspection_unavailable", "introspection")
        if not introspection.is_opaque(token):
            named = partial(self._named_issuers, token)
            return await self._averify_as_of(
                token, as_of_ns, now_ns, introspection.check(token, route, sender, named)
            )
        call = partial(self._opaque, introspection, sender, token, as_of_ns, now_ns)
        if introspection.is_known(token) and not self._is_blocking(sender):
            return call()
        return await call_on_thread(call)

    def _opaque(
        self,
        introspection: TokenIntrospection,
        sender: SenderCheck | None,
        token: Token,
        as_of_ns: int,
        now_ns: int,
    ) -> VerifiedJWS:
        """Return an opaque token that its server calls active, after the checks that follow a verdict."""
        result = introspection.introspected(token, as_of_ns)
        iss = str(result.issuer)
        if self._is_lost:  # no token can be known not to be revoked
            raise error_for("revocation_store_unavailable", "revocations")
        if self._revocations.names_kid(iss, None):
            revoked = error_for("revoked", "claims.iss")
            revoked.issuer = iss
            raise revoked
        if sender is None and "cnf" in result.claims:  # never ignored (RFC 7800 s.3)
            unchecked = error_for("binding_unchecked", "claims.cnf", expected="a check of who sends it")
            unchecked.issuer = result.issuer
            raise unchecked
        post_checks = self._snapshot.post_checks
        if post_checks is not None:
            return post_checks.run(result, now_ns, sender)
        unsent = None if sender is None else sender.refusal(result, now_ns)
        if unsent is not None:
            unsent.issuer = result.issuer
            raise unsent
        return result

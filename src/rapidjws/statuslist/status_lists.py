"""The status of verified tokens by the lists that they point to; a draft.

Security: a token's ``uri`` is looked up among the configured ones and never fetched.
Source: draft-ietf-oauth-status-list sections 6.2, 7.1 and 8.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws._checks import checked, refused
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.statuslist.status_list import INVALID, SUSPENDED, VALID
from rapidjws.statuslist.status_list_source import StatusListSource
from rapidjws.verify.protocols import Event, EventListener, emit, no_events

if TYPE_CHECKING:
    from collections.abc import Mapping

ON_FAILURE: Final = ("indeterminate", "signature")
_PLACE: Final = "claims.status.status_list"
_CODES: Final = {INVALID: "status_invalid", SUSPENDED: "status_suspended"}


class StatusLists:
    """The status lists of an engine's issuers.

    Args:
        sources: The lists, each URL once.
        required: Whether a token of these issuers without a status is refused.
        on_failure: What a list that cannot be had means: ``"indeterminate"``, or ``"signature"`` for the
            signature's word.
        events: Listener: ``status_unchecked``.

    Raises:
        ConfigurationError: ``configuration_invalid``: no list, or one URL twice.
    """

    __slots__ = ("_events", "_issuers", "_on_failure", "_required", "_sources")

    @checked(but=("sources",))
    def __init__(
        self,
        *sources: StatusListSource,
        required: bool = False,
        on_failure: Literal["indeterminate", "signature"] = "indeterminate",
        events: EventListener = no_events,
    ) -> None:
        for one in sources:
            if not isinstance(one, StatusListSource):
                raise refused("sources", "a StatusListSource each", one)
        if not sources or len({one.url for one in sources}) < len(sources):
            raise error_for("configuration_invalid", "lists", "status lists, each URL once")
        if on_failure not in ON_FAILURE:
            raise error_for("configuration_invalid", "on_failure", expected=ON_FAILURE)
        self._sources = {one.url: one for one in sources}
        self._issuers = frozenset(one.issuer for one in sources)
        self._required, self._on_failure, self._events = required, on_failure, events

    def start(self) -> None:
        """Fetch the lists, now and from time to time."""
        for one in self._sources.values():
            one.start()

    def refusal(self, iss: str, claims: Mapping[str, Any]) -> RapidJWSError | None:
        """Return why a verified token is refused by its status, or None; never waits.

        Args:
            iss: Its issuer.
            claims: Its claims.
        """
        stated = claims.get("iss")
        if iss not in self._issuers:
            if not isinstance(stated, str) or stated not in self._issuers:
                return None
            iss = stated  # another name of the same issuer
        status = claims.get("status")
        if isinstance(status, dict) and "status_list" in status:
            return self._looked_up(iss, status["status_list"])
        if status is not None and not isinstance(status, dict):
            return error_for("malformed_claim", "claims.status", "an object", type(status).__name__)
        if not self._required:
            return None
        return error_for("missing_claim", _PLACE, expected="a status, as it is required")

    def _looked_up(self, iss: str, reference: Any) -> RapidJWSError | None:
        if not isinstance(reference, dict):
            return error_for("malformed_claim", _PLACE, "an object", type(reference).__name__)
        index, uri = reference.get("idx"), reference.get("uri")
        if index.__class__ is not int or index < 0:
            return error_for("malformed_claim", f"{_PLACE}.idx", "a whole number from 0 on")
        if not isinstance(uri, str):
            return error_for("malformed_claim", f"{_PLACE}.uri", "text", type(uri).__name__)
        source = self._sources.get(uri)
        if source is None:
            return self._unchecked(iss, "a configured status list")
        if source.issuer != iss:  # the index counts another issuer's tokens
            return error_for("claim_mismatch", f"{_PLACE}.uri", expected="a list of the token's issuer")
        current = source.current()
        if current is None:
            return self._unchecked(iss, "a status list that holds now")
        found = current.status(index)
        if found == VALID:
            return None
        code = "status_unknown" if found is None else _CODES.get(found, "status_unknown")
        return error_for(code, _PLACE, actual="beyond the list" if found is None else found)

    def _unchecked(self, iss: str, expected: str) -> RapidJWSError | None:
        """Return what a status means that nobody can look up now."""
        if self._on_failure == "signature":
            emit(self._events, Event(name="status_unchecked", issuer=iss))
            return None
        return error_for("status_list_unavailable", f"{_PLACE}.uri", expected=expected)

    def __repr__(self) -> str:
        return f"StatusLists({', '.join(sorted(self._sources))})"

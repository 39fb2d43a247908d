"""Why a fetch brought nothing, in stable words."""

from __future__ import annotations

from rapidjws._checks import checked


class FetchFailed(Exception):
    """Why a fetch brought nothing, in one stable word, and when to come back where the server named a time.

    Attributes:
        reason: ``"timeout"``, ``"connect"``, ``"dns"``, ``"tls"``, ``"status"``, ``"protocol"``,
            ``"too_large"``, ``"encoding"``, ``"private_address"``, ``"document"``, ``"no_usable_key"``,
            ``"discovery"``, ``"credential"``, ``"proxy"`` or ``"internal"``.
        status: The HTTP status, or None.
        retry_after: The Retry-After header, or None.
        location_host: The host that a redirect names, or None; it is not followed.
        found: What a ``document`` is instead, in words of ours, or None.
    """

    @checked
    def __init__(
        self,
        reason: str,
        status: int | None = None,
        retry_after: str | None = None,
        location_host: str | None = None,
        found: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.retry_after = retry_after
        self.location_host = location_host
        self.found = found

    @property
    def detail(self) -> str:
        """Return the word with what belongs to it: ``"status 302, to other.example"``."""
        if self.found is not None:
            return f"{self.reason}: {self.found}"
        status = "" if self.status is None else f" {self.status}"
        return f"{self.reason}{status}" + (f", to {self.location_host}" if self.location_host else "")

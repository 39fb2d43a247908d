"""The subject of a verified token, as frameworks know a user."""

from __future__ import annotations

from typing import Any

from rapidjws.errors import error_for


class TokenSubject:
    """The claims of a verified token, and whom they name.

    Args:
        claims: Its claims.
    """

    def __init__(self, claims: dict[str, Any]) -> None:
        if not isinstance(claims, dict):
            raise error_for("configuration_invalid", "claims", "a dict", type(claims).__name__)
        self.claims = claims

    def _subject(self) -> str:
        """Return the subject, or nothing."""
        found = self.claims.get("sub")
        return found if isinstance(found, str) else ""

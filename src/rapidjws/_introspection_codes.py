"""Error codes of tokens of which their authorization server is asked (RFC 7662).

Rows for the table in ``errors``: code, class, reason, meaning, cause, fix, escalate. Imports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rapidjws._change_codes import Row

INTROSPECTION_ROWS: Final[tuple[Row, ...]] = (
    ("token_inactive", "PolicyRefused", "policy", "the authorization server calls the token not active",
     "A token that was revoked or has ended, or one that the server never issued.",
     "Get a new token; if it should hold, ask the server's operator.", False),
    ("introspection_unavailable", "DependencyUnavailable", "unavailable",
     "the authorization server cannot be asked about the token",
     "No answer in time, one that says nothing, wrong credentials of ours, or a budget that is used up.",
     "Look at the endpoint, at client_id and its secret, and at the limits of introspection.", True),
)  # fmt: skip
"""Rows whose second column is the name of a class of ``errors``."""

"""Error codes of tokens of which their authorization server is asked (RFC 7662), or a status list (a draft).

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
    ("status_invalid", "PolicyRefused", "policy", "the issuer's status list calls the token invalid",
     "A token that was revoked.", "Get a new token.", False),
    ("status_suspended", "PolicyRefused", "policy", "the issuer's status list calls the token suspended",
     "A token that does not hold for the time being.", "Ask the issuer until when.", False),
    ("status_unknown", "PolicyRefused", "policy", "the issuer's status list says nothing known of the token",
     "A status of the issuer's own, or an index beyond the list.", "Ask the issuer what it means.", True),
    ("status_list_unavailable", "DependencyUnavailable", "unavailable",
     "the status list of the token is not here, or too old",
     "A list that is not configured, cannot be fetched, or is not good: the log says which.",
     "Add the list's URL to the configuration; look at status_list_failed in the log.", True),
)  # fmt: skip
"""Rows whose second column is the name of a class of ``errors``."""

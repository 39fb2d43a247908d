"""Error codes of nonces that signed requests hold: given out by the receiver, and used once.

Rows for the table in ``errors``: code, class, reason, meaning, cause, fix, escalate. Imports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rapidjws._change_codes import Row

NONCE_ROWS: Final[tuple[Row, ...]] = (
    ("nonce_missing", "PolicyRefused", "policy", "the signed request holds no nonce",
     "A first request, or a sender that knows no nonces.",
     "Sign the nonce of the answer's header Replay-Nonce.", False),
    ("nonce_unknown", "PolicyRefused", "policy", "the nonce was not given out here for this sender",
     "A made-up or changed nonce, one of another partner, or machines whose secrets or clocks differ.",
     "Sign the nonce of the answer's header Replay-Nonce; compare secrets and clocks.", True),
    ("nonce_expired", "PolicyRefused", "policy", "the nonce is past its time",
     "A request that was signed long after its nonce was given out.",
     "Sign the nonce of the answer's header Replay-Nonce.", False),
    ("nonce_used", "PolicyRefused", "policy", "the nonce was used before",
     "A copied request, or a sender that signs one nonce twice.",
     "Sign the nonce of the answer's header Replay-Nonce, a new one each time.", True),
)  # fmt: skip
"""Rows whose second column is the name of a class of ``errors``."""

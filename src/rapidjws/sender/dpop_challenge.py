"""What a refusal tells a client about DPoP (RFC 9449 s.7.1 and s.9)."""

from __future__ import annotations

from typing import NamedTuple


class DPoPChallenge(NamedTuple):
    """What a refusal tells a client about DPoP.

    Attributes:
        algs: The algorithms that proofs may have.
        nonce: The nonce for the next proof, or None.
        is_alone: Whether no other scheme is taken.
    """

    algs: str
    nonce: str | None
    is_alone: bool

"""The warnings of PyJWT 2.x."""

from __future__ import annotations


class RemovedInPyjwt3Warning(DeprecationWarning):
    """A use that PyJWT 3 will not have."""


class InsecureKeyLengthWarning(UserWarning):
    """A key shorter than its algorithm asks for (RFC 7518 s.3.2, s.3.3)."""

"""A key too weak for the engine, which PyJWT takes with a warning: made here, and refused everywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rapidjws.compat.pyjwt.algorithm import Algorithm

_SEAL: Final = object()


class LegacyKey:
    """A short HMAC secret or a small RSA key, for this layer's own checks of signatures.

    ``Engine``, ``Issuer`` and ``Verifier`` take no such key. It can be neither constructed nor pickled, and
    ``repr`` shows nothing of it.

    Attributes:
        message: Why it is weak, in PyJWT's words.
    """

    __slots__ = ("_algorithm", "_prepared", "message")

    def __init__(self, algorithm: Algorithm, prepared: Any, message: str, *, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("a LegacyKey is made by rapidjws.compat.pyjwt only")
        self._algorithm = algorithm
        self._prepared = prepared
        self.message = message

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        """Return whether the signature is the key's; for use behind a raising function only."""
        return self._algorithm.verify(signing_input, self._prepared, signature)

    def __repr__(self) -> str:
        return "<LegacyKey>"

    def __reduce__(self) -> Any:
        raise TypeError("a LegacyKey holds a key and cannot be pickled")


def legacy_key(algorithm: Algorithm, prepared: Any, message: str) -> LegacyKey:
    """Make the key object for a weak key.

    Args:
        algorithm: The algorithm that takes the key.
        prepared: The key in that algorithm's form.
        message: Why it is weak.
    """
    return LegacyKey(algorithm, prepared, message, seal=_SEAL)

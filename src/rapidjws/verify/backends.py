"""Which library verifies which algorithm here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rapidjws import _native
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.verify.key_table import native_number
from rapidjws.verify.pyca_backend import mldsa_is_available

Backend = Literal["libcrypto", "pyca", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """What this installation verifies with.

    Attributes:
        libcrypto: Its version line.
        libcrypto_is_ours: True where it was built into the wheel, False where it is the system's.
        algorithms: Algorithm -> ``"libcrypto"`` (the native core), ``"pyca"`` (pyca/cryptography behind the
            same face) or ``"none"`` (cannot be verified here).
    """

    libcrypto: str
    libcrypto_is_ours: bool
    algorithms: dict[str, Backend]


def _backend(name: str) -> Backend:
    row = ALGORITHM_TABLE[name]
    if _native.alg_is_native(native_number(name, row.crvs[0] if row.crvs else None)):
        return "libcrypto"
    return "pyca" if row.kind == "mldsa" and mldsa_is_available() else "none"


def backends() -> Backends:
    """Return which library verifies which algorithm.

    >>> import rapidjws
    >>> rapidjws.backends().algorithms["ES256"]
    'libcrypto'
    """
    return Backends(
        libcrypto=_native.libcrypto_version(),
        libcrypto_is_ours=_native.libcrypto_is_ours(),
        algorithms={name: _backend(name) for name in ALGORITHM_TABLE},
    )

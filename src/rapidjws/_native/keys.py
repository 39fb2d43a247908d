"""Prepared keys, and the precomputed tables of much-used ones: who owns them frees them."""

from __future__ import annotations

import itertools
import threading
from weakref import WeakValueDictionary

from rapidjws._native.core import ALG_NUMBERS, OK, ffi, lib, runtime

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from typing import Any, Final

_key_ids: Final = itertools.count(1)


_native_algs: Final = frozenset(alg for alg in ALG_NUMBERS.values() if lib.rj_alg_is_native(runtime, alg))


def alg_is_native(alg: int) -> bool:
    """Return whether the linked libcrypto verifies the algorithm with this number."""
    return alg in _native_algs


class NativeKey:
    """One prepared key of the core.

    Attributes:
        address: Where it lies, for packing into slots.
    """

    __slots__ = ("_handle", "address")

    def __init__(self, handle: Any) -> None:
        self._handle = ffi.gc(handle, lib.rj_key_free)
        self.address = int(ffi.cast("uintptr_t", handle))

    def verify(
        self,
        alg: int,
        signing_input: bytes,
        signature: bytes,
        *,
        accelerated: bool = True,
        table: NativePrecomputed | None = None,
    ) -> int:
        """Return the status of one signature; ``table`` is this key's own table, where it shall be used."""
        handle = ffi.NULL if table is None else table.handle
        message, claimed = (signing_input, len(signing_input)), (signature, len(signature))
        status: int = lib.rj_verify_raw(runtime, self._handle, handle, alg, *message, *claimed, accelerated)
        return status


def build_key(alg: int, first: bytes, second: bytes = b"") -> NativeKey | int:
    """Build a key, see ``rj_key_build``.

    Args:
        alg: A number of ``ALG_NUMBERS``.
        first: The secret, the modulus, x || y, or the raw public key.
        second: The RSA exponent.

    Returns:
        The key, or the status that says why there is none.

    Raises:
        MemoryError: No memory.
    """
    cell = ffi.new("rj_key **")
    status: int = lib.rj_key_build(runtime, cell, alg, next(_key_ids), first, len(first), second, len(second))
    if status == lib.RJ_NO_MEMORY:
        raise MemoryError("no memory for a key")
    return NativeKey(cell[0]) if status == OK else status


class NativePrecomputed:
    """The precomputed table of one public key.

    Attributes:
        address: Where it lies, for packing into slots.
    """

    __slots__ = ("__weakref__", "_generator", "address", "handle")

    def __init__(self, handle: Any, generator: Any) -> None:
        self._generator = generator  # the key's table borrows it
        self.handle = ffi.gc(handle, lib.rj_precomputed_free)
        self.address = int(ffi.cast("uintptr_t", handle))


_tables: Final[WeakValueDictionary[tuple[int, bytes, bool, int], NativePrecomputed]] = WeakValueDictionary()
"""Every table of this process, by what it was built of: whoever wants the same uses the same."""

_generators: Final[dict[tuple[int, bool], Any]] = {}
_generators_lock = threading.Lock()


def renew_locks() -> None:
    """Replace this module's lock in a forked child: a thread that is not there may have held it."""
    global _generators_lock
    _generators_lock = threading.Lock()


PRECOMPUTED_SIZES: Final = int(lib.RJ_PRECOMPUTED_SIZES)


def precomputed_bytes(alg: int, size: int = 0) -> int:
    """Return the memory one key's table takes, in bytes; 0 where the algorithm has none of this size."""
    return int(lib.rj_precomputed_bytes(alg, size))


def build_precomputed(alg: int, public: bytes, *, portable: bool, size: int = 0) -> NativePrecomputed | None:
    """Build the table of a public key where this process has none, and its generator's once.

    Args:
        alg: A number of ``ALG_NUMBERS``.
        public: x || y, or the raw public key.
        portable: Whether to keep to plain C arithmetic.
        size: From 0, the largest and fastest, to below ``PRECOMPUTED_SIZES``.

    Returns:
        The table, or None where there is none for this key: libcrypto verifies it as before.
    """
    found = _tables.get((alg, public, portable, size))
    if found is not None:
        return found
    flags = lib.RJ_PRECOMPUTED_PORTABLE if portable else 0
    cell = ffi.new("rj_precomputed **")
    with _generators_lock:
        generator = _generators.get((alg, portable))
        if generator is None:
            if lib.rj_precomputed_build_generator(cell, alg, flags) != OK:
                return None
            generator = _generators[alg, portable] = ffi.gc(cell[0], lib.rj_precomputed_free)
    if lib.rj_precomputed_build(cell, generator, size, public, len(public), flags) != OK:
        return None
    return _tables.setdefault((alg, public, portable, size), NativePrecomputed(cell[0], generator))


def live_precomputed(alg: int, public: bytes, *, portable: bool) -> tuple[NativePrecomputed, int] | None:
    """Return the largest table of a public key that there is in this process, and its size; or None."""
    for size in range(PRECOMPUTED_SIZES):
        found = _tables.get((alg, public, portable, size))
        if found is not None:
            return found, size
    return None

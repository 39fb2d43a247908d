"""The floor inside this process: peers/c/floor.c by ctypes, a bare EVP_DigestVerify with a fresh context."""

from __future__ import annotations

import base64
import ctypes
import os
from pathlib import Path

import corpus
import environments


class Floor:
    """The floor: verification of one token's signature over and over, and nothing else.

    Args:
        alg: of the corpus's key.
        token: JWS Compact Serialization; cut and decoded here, outside any timing.
    """

    def __init__(self, alg: str, token: bytes) -> None:
        self._library = _load()
        key = corpus.make_key(alg)
        octets = key.private if key.pem is None else key.pem
        self._key = self._library.floor_open(alg.encode(), octets, len(octets))
        if not self._key:
            raise LookupError(f"libcrypto has no {alg}")
        self._message, _, text = token.rpartition(b".")
        raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
        buffer = ctypes.create_string_buffer(8192)
        size = self._library.floor_signature(self._key, buffer, len(buffer), raw, len(raw))
        self._signature = buffer.raw[:size]

    def ns_per_call(self, calls: int) -> float:
        """Verify `calls` times; return nanoseconds for one.

        Raises:
            AssertionError: a verification failed.
        """
        took = self._library.floor_loop(
            self._key, self._message, len(self._message), self._signature, len(self._signature), calls
        )
        if took < 0:
            raise AssertionError("the floor refused a good signature")
        return float(took)


def _load() -> ctypes.CDLL:
    named = os.environ.get("RAPIDJWS_BENCH_FLOOR")
    path = Path(named) if named else environments.floor_library(Path(__file__).resolve().parent / ".cache")
    library = ctypes.CDLL(str(path))
    sized = (ctypes.c_char_p, ctypes.c_size_t)
    library.floor_open.restype = ctypes.c_void_p
    library.floor_open.argtypes = (ctypes.c_char_p, *sized)
    library.floor_signature.restype = ctypes.c_size_t
    library.floor_signature.argtypes = (ctypes.c_void_p, *sized, *sized)
    library.floor_loop.restype = ctypes.c_double
    library.floor_loop.argtypes = (ctypes.c_void_p, *sized, *sized, ctypes.c_size_t)
    return library

"""A JWK Set in a file that the operator names: how it is opened, and how large it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws import _files
from rapidjws.jose.jwks import JWKSet
from rapidjws.jose.limits import JWKS_STATIC_MAX_BYTES

if TYPE_CHECKING:
    import os


def key_set_octets(path: str | os.PathLike[str]) -> bytes:
    """Return what a key set's file holds.

    Raises:
        FileRefused: Not a regular file, one that others may write, or larger than ``JWKS_STATIC_MAX_BYTES``.
        OSError: It cannot be read.
    """
    return _files.read_trusted(path, JWKS_STATIC_MAX_BYTES)


def read_key_set(path: str | os.PathLike[str]) -> JWKSet:
    """Return the key set in a file.

    Raises:
        FileRefused, OSError: As ``key_set_octets``.
        RapidJWSError: As ``JWKSet.from_json``.
    """
    return JWKSet.from_json(key_set_octets(path))

"""Precomputed tables that the supervisor builds before it forks: the workers share their memory.

Only keys that can be had without a network are known then: those of files, and kept sets. A worker that has
the same key uses the table that it finds in its process; all others it builds itself. Reads each file once
more than the workers do; what cannot be read here is their business.
"""

from __future__ import annotations

import time
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from rapidjws.config.key_sources import LAST_GOOD_MAX_AGE_S, texts
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.jose.limits import JWKS_MAX_BYTES
from rapidjws.keys import FileJWKS, PEMFiles, last_good
from rapidjws.verify.acceleration import checked_acceleration
from rapidjws.verify.key_table import IssuerKeys
from rapidjws.verify.precomputed import PRECOMPUTE_BUDGET_BYTES, PRECOMPUTE_THRESHOLD, PrecomputedKeys

if TYPE_CHECKING:
    from pathlib import Path

    from rapidjws.config.read import LoadedConfig
    from rapidjws.verify.key_table import PreparedKey

SHARED_BUILD_S: Final = 0.25
"""Longest time that a start spends on shared tables, in seconds; the rest is built beside the traffic."""


def build_shared_tables(loaded: LoadedConfig, build_s: float = SHARED_BUILD_S) -> PrecomputedKeys:
    """Build tables of the keys that are known before a fork; whoever forks keeps them.

    Args:
        loaded: A configuration that was checked.
        build_s: Longest time to build, in seconds.

    Returns:
        The tables, which live as long as this object.
    """
    end_s = monotonic() + build_s
    settings = loaded.section("engine")
    tables = PrecomputedKeys(
        checked_acceleration(settings.get("acceleration", "auto")),
        settings.get("precompute_budget_bytes", PRECOMPUTE_BUDGET_BYTES),
        settings.get("precompute_threshold", PRECOMPUTE_THRESHOLD),
    )
    if not tables.threshold:
        return tables
    keys: list[PreparedKey] = []
    for issuer in loaded.issuers:
        if monotonic() < end_s:
            keys += _prepared(issuer, loaded.folder)
    for key in tables.missing(keys):
        if monotonic() >= end_s:
            break
        tables.build(key)
    return tables


def _prepared(issuer: dict[str, Any], folder: Path) -> tuple[PreparedKey, ...]:
    """Return an issuer's keys that need no network, ready for use."""
    found = _keys(issuer, folder)
    if found is None:
        return ()
    try:
        return IssuerKeys(found, tuple(texts(issuer["algorithms"]))).prepared
    except RapidJWSError:  # the worker meets the same, and says so
        return ()


def _keys(issuer: dict[str, Any], folder: Path) -> JWKSet | None:
    if "jwks_file" in issuer:
        return FileJWKS(folder / issuer["jwks_file"]).state().keys
    if "pem_path" in issuer:
        return PEMFiles(folder / issuer["pem_path"], kid=issuer.get("pem_kid")).state().keys
    if "jwks_url" not in issuer or "last_good_file" not in issuer:
        return None
    kept = last_good.read(
        folder / issuer["last_good_file"],
        issuer["jwks_url"],
        now_s=time.time(),
        max_age_s=issuer.get("last_good_max_age_s", LAST_GOOD_MAX_AGE_S),
        max_bytes=issuer.get("max_bytes", JWKS_MAX_BYTES),
    )
    try:
        return None if kept is None else JWKSet.from_json(kept.body)
    except RapidJWSError:
        return None

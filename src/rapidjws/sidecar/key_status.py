"""The keys of an engine's issuers as they are now: which, how old, and why there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rapidjws.keys import RemoteJWKS

if TYPE_CHECKING:
    from rapidjws.jwt.engine import Engine


def key_rows(engine: Engine) -> list[dict[str, Any]]:
    """Return one row an issuer; nothing is fetched.

    Returns:
        ``issuer``; ``source``, an address or a file; ``kids``; ``code``, why there are no keys, or None; of
        fetched sets ``age_s``, ``fresh_for_s`` and ``stale_in_s`` in seconds, ``fetches``, ``failures`` in a
        row and ``failure``, why the last one failed.
    """
    return [key_row(engine, issuer.name) for issuer in engine.issuers]


def key_row(engine: Engine, issuer: str) -> dict[str, Any]:
    """Return the row of one issuer, as :func:`key_rows` does."""
    source = engine.source_of(issuer)
    row: dict[str, Any] = {"issuer": issuer}
    if isinstance(source, RemoteJWKS):
        status = source.status()
        row |= {"source": status.name, "failure": status.last_failure}
        row |= {"age_s": _rounded(status.age_s), "fresh_for_s": _rounded(status.fresh_for_s)}
        row |= {"stale_in_s": _rounded(status.stale_in_s)}
        row |= {"fetches": status.fetches, "failures": status.failures}
    elif source is not None:
        row["source"] = getattr(source, "name", type(source).__name__)
    state = engine.key_state(issuer)
    row["code"] = state.code if state.keys is None else None
    row["kids"] = [] if state.keys is None else [key.kid for key in state.keys]
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)

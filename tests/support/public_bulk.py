"""Good arguments for the public callables of bulk verification; see ``public_recipes``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import tokens
from public_callables import exported

P = exported()
Recipe = dict[str, Any]


def verifier() -> Any:
    """Return a verifier of columns."""
    return P["BulkVerifier"](tokens.engine(), now=tokens.NOW_S, workers=1)


OWNERS: dict[str, Callable[[], Any]] = {"BulkVerifier": verifier}
RECIPES: dict[str, Callable[[], Recipe]] = {
    "BulkVerifier": lambda: {"verifier": tokens.engine()},
    "BulkVerifier.schema": lambda: {"given": pa.schema({"token": pa.string()})},
    "BulkVerifier.verify_batch": lambda: {"batch": pa.record_batch({"token": [tokens.token()]})},
}

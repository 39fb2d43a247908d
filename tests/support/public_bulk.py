"""Good arguments for the public callables of bulk verification; see ``public_recipes``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import tokens
from public_callables import exported

P = exported()
Recipe = dict[str, Any]


def verifier() -> Any:
    """Return a verifier of columns."""
    return P["BulkVerifier"](tokens.engine(), now=tokens.NOW_S, workers=1)


def in_folder() -> Recipe:
    """Return a run in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="rapidjws-walk-"))
    pa.parquet.write_table(pa.table({"token": [tokens.token()]}), folder / "in.parquet")
    return {"verifier": verifier(), "source": str(folder / "in.parquet"), "target": folder / "out"}


OWNERS: dict[str, Callable[[], Any]] = {"BulkVerifier": verifier}
RECIPES: dict[str, Callable[[], Recipe]] = {
    "BulkVerifier": lambda: {"verifier": tokens.engine()},
    "BulkReport": lambda: {"rows": 1},
    "verify_parquet": in_folder,
    "BulkVerifier.schema": lambda: {"given": pa.schema({"token": pa.string()})},
    "BulkVerifier.verify_batch": lambda: {"batch": pa.record_batch({"token": [tokens.token()]})},
}

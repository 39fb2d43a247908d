"""pyarrow, where it is installed: the one place of the package that imports it at run time."""

from __future__ import annotations

from typing import Any

try:
    import pyarrow
    import pyarrow.compute
    import pyarrow.fs
except ImportError as missing:
    raise ImportError("rapidjws.bulk needs pyarrow: pip install 'rapidjws[bulk]'") from missing

pa: Any = pyarrow
pc: Any = pyarrow.compute


def parquet_module() -> Any:
    """Return pyarrow's part for Parquet, which takes a while to load."""
    import pyarrow.parquet

    return pyarrow.parquet

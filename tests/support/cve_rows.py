"""Name the row of the register of earlier faults that a test answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def row(*ids: str) -> Callable[[Any], Any]:
    """Run the test once for each row it answers, the row's id in the test's name."""
    return pytest.mark.parametrize("row_id", ids)

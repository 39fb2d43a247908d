"""AWS by moto, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def mocked_aws(extra: str) -> Iterator[Any]:
    """Give boto3, whose calls moto answers; skip where one of them is absent.

    Args:
        extra: moto's own, for the service that is asked.
    """
    boto3 = pytest.importorskip("boto3", reason="boto3 absent: pip install 'rapidjws[aws]'")
    moto = pytest.importorskip("moto", reason=f"moto absent: pip install 'moto[{extra}]'")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        with moto.mock_aws():
            yield boto3

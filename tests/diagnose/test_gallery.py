"""The gallery: each token or set-up is broken by one real mistake, and the cause named first is that one."""

from __future__ import annotations

from typing import Any

import gallery_keys
import gallery_reports
import gallery_shape
import pytest

from rapidjws.diagnose import diagnose
from rapidjws.diagnose.causes import CAUSES
from rapidjws.errors import RapidJWSError
from rapidjws.jws.verifier import Verifier
from rapidjws.jwt.engine import Engine

ROWS = [*gallery_shape.rows(), *gallery_keys.rows(), *gallery_reports.rows()]
AT_LEAST = 60


def test_gallery_is_large() -> None:
    """The gallery holds at least sixty cases, no two of one name, and only causes of the table."""
    assert len(ROWS) >= AT_LEAST
    assert len({name for name, *_ in ROWS}) == len(ROWS)
    assert {cause for _, cause, *_ in ROWS} <= set(CAUSES)


@pytest.mark.parametrize(("cause", "token", "more"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_true_cause_comes_first(cause: str, token: Any, more: dict[str, Any]) -> None:
    """The probable cause is the mistake that was made, and the verdict is the engine's."""
    report = diagnose(token, **more)
    assert report.probable_cause is not None
    ranked = [(item.id, item.weight) for item in report.causes]
    assert report.probable_cause.id == cause, (report.message, ranked)
    using = more["using"]
    if isinstance(using, (Engine, Verifier)) and isinstance(token, (str, bytes)) and not more.get("body"):
        assert report.code == _verdict(using, token, more["now"])


def _verdict(using: Engine | Verifier, token: Any, now: float) -> str | None:
    try:
        if isinstance(using, Engine):
            using.verify(token, now)
        else:
            using.verify(token)
    except RapidJWSError as refused:
        return refused.code
    return None

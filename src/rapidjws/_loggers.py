"""The loggers of this package, all below ``rapidjws``: silent until an application configures logging."""

from __future__ import annotations

import logging
from typing import Final

ROOT: Final = "rapidjws"
"""The logger above all others."""

_BELOW: Final = logging.getLogger(ROOT)
_BELOW.addHandler(logging.NullHandler())  # a library writes nothing on its own, not even warnings to stderr


def logger(name: str) -> logging.Logger:
    """Return the logger ``rapidjws.<name>``."""
    return _BELOW.getChild(name)

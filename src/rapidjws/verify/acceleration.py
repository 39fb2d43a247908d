"""The setting that says which arithmetic verifies."""

from __future__ import annotations

from typing import Literal, cast, get_args

from rapidjws.errors import error_for

Acceleration = Literal["auto", "portable", "openssl"]


def checked_acceleration(acceleration: str) -> Acceleration:
    """Return the setting.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    for known in get_args(Acceleration):
        if acceleration == known:
            return cast("Acceleration", known)
    raise error_for("configuration_invalid", "acceleration", expected=("auto", "portable", "openssl"))

"""The entry point of the package: ``rapidjws.diagnose``. Loads the rest on first use."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from rapidjws.diagnose.report import Report
    from rapidjws.jws.verifier import Verifier
    from rapidjws.jwt.engine import Engine
    from rapidjws.verify.given_keys import Keys


def diagnose(
    token: object,
    using: Engine | Verifier | Keys | bytes | str | Mapping[str, Any],
    *,
    algorithms: Iterable[str] | None = None,
    body: bytes | None = None,
    now: float | None = None,
    fresh: Any = None,
    also: Mapping[str, Any] | None = None,
    cache_age_s: float | None = None,
    show_token: bool = False,
) -> Report:
    """Explain why a token is refused: every check, then the probable cause, its fix, and who must act.

    The verdict is the engine's own; experiments only explain it. Nothing of the report can be replayed.

    Args:
        token: What was sent; anything at all.
        using: The engine or verifier that refused it; or keys: a set, JWKs, or the JSON of a set.
        algorithms: The allowed algorithms, where ``using`` is keys; by default all that the keys serve.
        body: The request body that should be the payload; the payload of a detached token.
        now: Seconds since the epoch to judge at; by default the wall clock.
        fresh: What a fresh fetch of the issuer's keys gave: a set or its JSON, or a mapping iss -> set.
        also: Keys of other environments worth a try, by name: ``{"staging": jwks}``.
        cache_age_s: Age of the keys in use, seconds.
        show_token: Whether the report holds the token itself; anything but True is no.

    Returns:
        The report; never raises.
    """
    from rapidjws.diagnose.examine import broken, examine

    try:
        return examine(
            token,
            using,
            algorithms=algorithms,
            body=body,
            now=now,
            fresh=fresh,
            also=also,
            cache_age_s=cache_age_s,
            show_token=show_token is True,
        )
    except Exception as fault:  # the promise of this function: an explanation, whatever was handed in
        return broken(fault)

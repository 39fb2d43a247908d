"""Checks before keys sign: that an issuer's algorithms have public keys, and that a key can be used here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.state import IssuingState
from rapidjws.jose.jwa import ALGORITHM_TABLE

if TYPE_CHECKING:
    from rapidjws.issuing.key_maker import KeyMaker

TRIAL: Final = b"trial signature of an issuer's key"
"""Has no dot, so that its signature is of no JWS (RFC 7515 s.5.1)."""


def check_algorithms(algorithms: tuple[str, ...], algorithm_of: Mapping[str, str]) -> None:
    """Refuse algorithms that no issuer has keys for.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if not algorithms or len(set(algorithms)) != len(algorithms):
        raise error_for("configuration_invalid", "issuing.algorithms", "one or more, each once")
    for alg in algorithms:
        row = ALGORITHM_TABLE.get(alg)
        if row is None or row.kind == "hmac":
            raise error_for("configuration_invalid", "issuing.algorithms", "names with public keys", alg)
    for alg in algorithm_of.values():
        if alg not in algorithms:
            raise error_for("configuration_invalid", "issuing.algorithm_of", algorithms, alg)


def check_usable(maker: KeyMaker, before: IssuingState, after: IssuingState) -> None:
    """Make a signature by each key that would begin to sign: one that cannot must not replace one that does.

    Raises:
        RapidJWSError: What keeps a key from signing, with its kid.
    """
    signing = {one.kid for one in before.in_stage("active")}
    for one in after.in_stage("active"):
        if one.kid in signing:
            continue
        try:
            maker.signer(one).sign(TRIAL)
        except RapidJWSError as failed:
            reason = failed
        else:
            continue
        place = f"kid {one.kid}: {reason.place or ''}"
        raise error_for(reason.code, place, reason.expected, reason.actual)

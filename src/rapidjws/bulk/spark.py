"""Bulk verification on Apache Spark: a function for its mapInArrow; needs the extra ``spark``.

Keys and rules travel to the executors as text, with the function. Each Python worker makes its engine once,
and its tables with it. A task that runs twice (a retry, a speculative copy) verifies twice, writes nothing,
and Spark's own commit decides which of them counts. No row fails a job: it is refused in its place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rapidjws._checks import checked
from rapidjws.bulk.arrow import pa
from rapidjws.bulk.verifier import BulkVerifier
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer

_MAX_MADE: Final = 8
_made: Final[dict[SparkVerifier, BulkVerifier]] = {}


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SparkVerifier:
    """What verifies a column of a Spark data frame, as a value that travels to the executors.

    Attributes:
        jwks: The JWK Set with the issuer's public keys, as JSON text.
        issuer: The ``iss`` of the tokens.
        algorithms: The ``alg`` values accepted.
        audience: The ``aud`` values accepted.
        leeway_s: Clock leeway in seconds.
        now: The moment of the checks, seconds since the epoch, the same for every task and retry.
        token: The column of tokens.
        time: The column of times of the checks, or None.
        claims: Pairs of a claim and its kind, as ``BulkVerifier`` has them.
        keep: The columns that stay; None for all but the tokens.
    """

    jwks: str
    issuer: str
    algorithms: tuple[str, ...]
    audience: tuple[str, ...] = ()
    leeway_s: int = 60
    now: float
    token: str = "token"
    time: str | None = None
    claims: tuple[tuple[str, str], ...] = ()
    keep: tuple[str, ...] | None = None

    def made(self) -> BulkVerifier:
        """Return the verifier of this process, made at the first call.

        Raises:
            RapidJWSError: The keys or rules are not valid.
        """
        found = _made.get(self)
        if found is None:
            keys = JWKSet.from_json(self.jwks.encode())
            rules: dict[str, Any] = {"algorithms": self.algorithms, "audience": self.audience}
            engine = Engine(Issuer(self.issuer, keys=keys, leeway_s=self.leeway_s, **rules), workers=1)
            found = BulkVerifier(
                engine,
                token=self.token,
                time=self.time,
                claims=dict(self.claims),
                keep=self.keep,
                now=self.now,
                workers=1,  # Spark runs one task a core
            )
            if len(_made) >= _MAX_MADE:
                _made.clear()
            _made[self] = found
        return found

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield a batch of verdicts for each batch of tokens: what mapInArrow calls."""
        verifier = self.made()
        for batch in batches:
            yield verifier.verify_batch(batch)


@checked(but=("frame",))
def verify_frame(
    frame: Any,
    *,
    jwks: str,
    issuer: str,
    algorithms: Sequence[str],
    audience: Sequence[str] = (),
    leeway_s: int = 60,
    token: str = "token",
    time_column: str | None = None,
    claims: Mapping[str, str] | None = None,
    keep: Sequence[str] | None = None,
    now: float | None = None,
    clock: Callable[[], float] = time.time,
) -> Any:
    """Return a data frame with the verdicts on a frame's tokens.

    Args:
        frame: A data frame of pyspark.
        jwks: The JWK Set with the issuer's public keys, as JSON text.
        issuer: The ``iss`` of the tokens.
        algorithms: The ``alg`` values accepted.
        audience: The ``aud`` values accepted.
        leeway_s: Clock leeway in seconds.
        token: The column of tokens.
        time_column: The column of times of the checks, or None.
        claims: Claims to give as columns, with their kinds, as for ``BulkVerifier``.
        keep: The columns that stay; None for all but the tokens.
        now: The moment of the checks, seconds since the epoch; by default this one, for all tasks.
        clock: Gives it.

    Returns:
        A data frame with as many rows: the columns that stay, ``verdict``, ``code``, and the claims.

    Raises:
        ConfigurationError: ``configuration_invalid``: a column that is missing or of another type.
        ImportError: pyspark is not installed.
    """
    try:
        from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
    except ImportError as missing:
        raise ImportError("verify_frame needs pyspark: pip install 'rapidjws[spark]'") from missing

    verifier = SparkVerifier(
        jwks=jwks,
        issuer=issuer,
        algorithms=tuple(algorithms),
        audience=tuple(audience),
        leeway_s=leeway_s,
        now=clock() if now is None else now,
        token=token,
        time=time_column,
        claims=tuple((claims or {}).items()),
        keep=None if keep is None else tuple(keep),
    )
    given = to_arrow_schema(frame.schema)
    schema = verifier.made().schema(pa.schema(given))
    return frame.mapInArrow(verifier, from_arrow_schema(schema))

"""Which format a scraper asks for, and the reading in it (RFC 9110 s.12.5.1)."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from rapidjws._checks import checked
from rapidjws.observe import openmetrics, prometheus_protobuf, prometheus_text
from rapidjws.observe.reading import Reading


class Writer(Protocol):
    """Writes readings in one format."""

    def write(self, reading: Reading) -> bytes:
        """Return the octets."""


class Format(NamedTuple):
    """A format that is offered.

    Attributes:
        name: A short name.
        media_type: Type and subtype.
        parameters: Those that must not differ where a scraper names them.
        content_type: What the answer says.
    """

    name: str
    media_type: str
    parameters: dict[str, frozenset[str]]
    content_type: str


TEXT: Final = Format("text", "text/plain", {"version": frozenset({"0.0.4"})}, prometheus_text.CONTENT_TYPE)
OPENMETRICS: Final = Format(
    "openmetrics",
    "application/openmetrics-text",
    {"version": frozenset({"1.0.0", "0.0.1"})},
    openmetrics.CONTENT_TYPE,
)
PROTOBUF: Final = Format(
    "protobuf",
    "application/vnd.google.protobuf",
    {"proto": frozenset({"io.prometheus.client.metricfamily"}), "encoding": frozenset({"delimited"})},
    prometheus_protobuf.CONTENT_TYPE,
)
FORMATS: Final = (PROTOBUF, OPENMETRICS, TEXT)
"""The one with most in it first, where a scraper likes several as much."""

ACCEPT_MAX_BYTES: Final = 4096


def chosen_format(accept: bytes | None) -> Format:
    """Return the format that an Accept header likes best; text where it names none of ours."""
    if not accept or len(accept) > ACCEPT_MAX_BYTES:
        return TEXT
    best, best_weight = TEXT, 0.0
    ranges = [_range(part) for part in accept.decode("latin-1").split(",")]
    for one in FORMATS:
        weight = max(
            (weight for kind, parameters, weight in ranges if _fits(one, kind, parameters)), default=0.0
        )
        if weight > best_weight:
            best, best_weight = one, weight
    return best


def _range(part: str) -> tuple[str, dict[str, str], float]:
    """Return media type, parameters and weight of one range of an Accept header."""
    kind, *rest = (word.strip().lower() for word in part.split(";"))
    parameters = {}
    weight = 1.0
    for word in rest:
        name, _, value = word.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
        else:
            parameters[name.strip()] = value.strip().strip('"')
    return kind, parameters, weight if 0.0 <= weight <= 1.0 else 0.0


def _fits(one: Format, kind: str, parameters: dict[str, str]) -> bool:
    if kind != one.media_type:
        return False
    needed = one.parameters if one is PROTOBUF else {}
    return all(name in parameters for name in needed) and all(
        value in one.parameters[name] for name, value in parameters.items() if name in one.parameters
    )


class Exposition:
    """Readings in the formats that scrapers ask for."""

    __slots__ = ("_writers",)

    def __init__(self) -> None:
        self._writers: dict[str, Writer] = {
            "text": prometheus_text.TextWriter(),
            "openmetrics": openmetrics.OpenMetricsWriter(),
            "protobuf": prometheus_protobuf.ProtobufWriter(),
        }

    @checked
    def write(self, reading: Reading, one: Format) -> bytes:
        """Return a reading in a format."""
        return self._writers[one.name].write(reading)

"""The schema of every file in a partner's folder: each fault with its place; nothing in a file raises.

The folder comes back from a stranger: files are opened without following links or waiting, within a size, and
their JSON is read strictly (no NaN, no equal names, no lone surrogates, bounded depth).
"""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rapidjws import _files, escaping
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import json_text
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.limits import NUMERIC_DATE_MAX_S

FILE_MAX_BYTES: Final = 8 * 1024 * 1024
TOKEN_MAX_CHARS: Final = 256 * 1024
NAME_MAX_CHARS: Final = 60
TEXT_MAX_CHARS: Final = 300
SAMPLES_MOST: Final = 1000
FAULTS_SHOWN: Final = 100
_DEPTH_MOST: Final = 16
_DAY_S: Final = 86_400
_YEARS_S: Final = 10 * 366 * _DAY_S
VERDICTS: Final = ("accepted", "refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """One fault of a file: its place, such as ``theirs/samples.json[3].check_at``, and what is due there."""

    place: str
    text: str


def read_octets(path: Path) -> tuple[bytes | None, str | None]:
    """Return a regular file's octets and None, or None and why not; (None, None) where there is no file."""
    try:
        descriptor = os.open(path, _files.READ_FLAGS)
    except FileNotFoundError:
        return None, None
    except OSError as fault:
        return None, f"cannot be opened: {fault.strerror}"
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None, "is no regular file"
    with os.fdopen(descriptor, "rb") as file:
        try:
            octets = file.read(FILE_MAX_BYTES + 1)
        except OSError as fault:
            return None, f"cannot be read: {fault.strerror}"
    if len(octets) > FILE_MAX_BYTES:
        return None, f"is larger than {FILE_MAX_BYTES} bytes"
    return octets, None


def read_value(folder: Path, name: str) -> tuple[Any, list[FileFault]]:
    """Return a file's JSON value, None where it is absent or unreadable, and its faults."""
    octets, fault = read_octets(folder / name)
    if fault is not None:
        return None, [FileFault(place=name, text=fault)]
    if octets is None:
        return None, []
    try:
        value = json_text.loads(
            octets, max_bytes=FILE_MAX_BYTES, max_depth=_DEPTH_MOST, max_members=SAMPLES_MOST * 4, place=name
        )
    except RapidJWSError as refused:
        return None, [FileFault(place=name, text=str(refused))]
    except (ValueError, RecursionError):
        return None, [
            FileFault(place=name, text="a number with too many digits, or JSON that cannot be read")
        ]
    if value is None:
        return None, [FileFault(place=name, text="null, where a document is due")]
    return value, []


def samples_in(value: Any, name: str) -> tuple[list[dict[str, Any]], list[FileFault]]:
    """Return the sound samples of a list, and a fault for each of the others.

    Args:
        value: The file's JSON value.
        name: The file's name, for the places.
    """
    if not isinstance(value, list):
        return [], [FileFault(place=name, text=f"an array of samples is due, found {kind_of(value)}")]
    faults: list[FileFault] = []
    if len(value) > SAMPLES_MOST:
        faults.append(FileFault(place=name, text=f"at most {SAMPLES_MOST} samples, found {len(value)}"))
    good: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, sample in enumerate(value[:SAMPLES_MOST]):
        fault = _sample_fault(sample, f"{name}[{number}]", seen)
        if fault is None:
            seen.add(sample["name"])
            good.append(sample)
        else:
            faults.append(fault)
    return good, faults


def _sample_fault(sample: Any, place: str, seen: set[str]) -> FileFault | None:
    """Return the first fault of a sample, or None."""
    if not isinstance(sample, dict):
        return FileFault(place=place, text=f"an object is due, found {kind_of(sample)}")
    name, token, expect = sample.get("name"), sample.get("token"), sample.get("expect")
    if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX_CHARS or not name.isprintable():
        due = f"a printable text of 1 to {NAME_MAX_CHARS} characters"
        return FileFault(place=f"{place}.name", text=f"{due} is due, found {kind_of(name)}")
    if name in seen:
        return FileFault(place=f"{place}.name", text=f"the name {name!r} stands twice")
    if not isinstance(token, str) or len(token) > TOKEN_MAX_CHARS:
        due = f"a text of at most {TOKEN_MAX_CHARS} characters"
        return FileFault(place=f"{place}.token", text=f"{due} is due, found {kind_of(token)}")
    if expect not in VERDICTS:
        return FileFault(place=f"{place}.expect", text=f"{VERDICTS} is due, found {kind_of(expect)}")
    if "why" in sample and not isinstance(sample["why"], str):
        return FileFault(place=f"{place}.why", text=f"a text is due, found {kind_of(sample['why'])}")
    if "check_at" in sample and not is_date(sample["check_at"]):
        due = f"seconds since 1970, 0 to {NUMERIC_DATE_MAX_S}"
        return FileFault(
            place=f"{place}.check_at", text=f"{due} are due, found {kind_of(sample['check_at'])}"
        )
    return None


def is_date(value: Any) -> bool:
    """Say whether a value is a finite NumericDate in range (RFC 7519 s.2)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= NUMERIC_DATE_MAX_S and math.isfinite(value)


def verdicts_in(value: Any, name: str) -> tuple[dict[str, str], list[FileFault]]:
    """Return the sound verdicts of an object, and a fault for each of the others."""
    if not isinstance(value, dict):
        return {}, [FileFault(place=name, text=f"an object name -> verdict is due, found {kind_of(value)}")]
    faults = [
        FileFault(
            place=f"{name}.{sample[:NAME_MAX_CHARS]}", text=f"{VERDICTS} is due, found {kind_of(verdict)}"
        )
        for sample, verdict in value.items()
        if verdict not in VERDICTS
    ]
    return {sample: verdict for sample, verdict in value.items() if verdict in VERDICTS}, faults


def kind_of(value: Any) -> str:
    """Return a short word for a value, without its content where that is long."""
    if isinstance(value, str):
        return (
            f"{escaping.printable(value, 20)!r}" if len(value) <= 20 else f"a text of {len(value)} characters"
        )
    if isinstance(value, (bool, float)) or value is None:
        return str(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**12 else "a huge number"
    return "an array" if isinstance(value, list) else "an object"


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_MAX_CHARS and value.isprintable()


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def check_contract(value: dict[str, Any], attested: tuple[str, ...]) -> None:
    """Check the members of ``contract.json``.

    Args:
        value: The members, without ``version``.
        attested: The names that can be attested.

    Raises:
        ConfigurationError: ``configuration_invalid`` at the first member that is missing or wrong.
    """
    texts = dict.fromkeys(
        ("partner", "our_iss", "our_audience", "their_iss", "their_audience"), "printable text"
    )
    rules: dict[str, tuple[str, Any]] = {name: (due, _text) for name, due in texts.items()}
    rules |= {
        "algorithms": (f"some of {tuple(ALGORITHM_TABLE)}", _algorithms),
        "leeway_s": (f"0 to {_DAY_S}", lambda found: _whole(found, 0, _DAY_S)),
        "lifetime_s": (f"1 to {_YEARS_S}", lambda found: _whole(found, 1, _YEARS_S)),
        "publish_before_use_s": (f"0 to {_YEARS_S}", lambda found: _whole(found, 0, _YEARS_S)),
        "temporary_leeway_s": (f"0 to {_DAY_S}", lambda found: found is None or _whole(found, 0, _DAY_S)),
        "temporary_until": ("a date", lambda found: found is None or is_date(found)),
        "jwks_url": ("an http or https address", _address),
        "attested": (f"names of {attested} with who and when", lambda found: _attestations(found, attested)),
    }
    for name, found in value.items():
        if name not in rules:
            raise error_for("configuration_invalid", f"contract.{escaping.printable(name, 40)}", tuple(rules))
        due, is_good = rules[name]
        if not is_good(found):
            raise error_for("configuration_invalid", f"contract.{name}", due, kind_of(found))
    for name in (*texts, "algorithms"):
        if name not in value:
            raise error_for("configuration_invalid", f"contract.{name}", rules[name][0], "nothing")


def _algorithms(found: Any) -> bool:
    names = isinstance(found, (list, tuple)) and 0 < len(found) <= len(ALGORITHM_TABLE)
    return names and all(isinstance(name, str) and name in ALGORITHM_TABLE for name in found)


def _address(found: Any) -> bool:
    return found is None or (_text(found) and found.startswith(("https://", "http://")) and " " not in found)


def _attestations(found: Any, names: tuple[str, ...]) -> bool:
    return isinstance(found, dict) and all(name in names and _text(who) for name, who in found.items())

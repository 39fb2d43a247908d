"""The reference of the configuration is current, whole and true, and every example of the docs is good."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from settings import TABLES, changed, written
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.cli.config_check import problems_of
from rapidjws.cli.config_schema import json_schema
from rapidjws.config import schema
from rapidjws.config.setting_words import EXAMPLES, SECTIONS, WORDS
from rapidjws.sidecar.settings import settings_from

pytestmark = pytest.mark.source_tree

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "configuration.md"
ISSUER = (
    '[[issuers]]\niss = "https://i.example"\nalgorithms = ["ES256"]\njwks_url = "https://i.example/jwks"\n'
)
SECTION = re.compile(rf"^\s*\[\[?(?:{'|'.join(TABLES)})(?:\.servers)?\]\]?", re.MULTILINE)
NAMED = re.compile(
    r'^(?:issuers = \["(https://[a-z.]+)"\]|"https://[^"]+" = "(https://[a-z.]+)")$', re.MULTILINE
)
"""Issuers of the file that a section names."""

NOT_WRITTEN_OUT = (("replay", "max_entries"), ("audit", "key_file"))
"""Not beside redis; and none, where a KMS or a token signs instead."""


def examples() -> list[tuple[str, str]]:
    """Return every TOML example of the docs with where it stands."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    found = []
    for page in pages:
        text = page.read_text("utf-8")
        for block in re.finditer(r"^```toml[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, block.start()) + 1
            if page.name in ("issuing.md", "token-service.md", "signers.md"):
                continue  # of `rapidjws issue`: test_issuing_config.py checks these
            found.append((f"{page.relative_to(ROOT)}:{line}", block[1]))
    for path in (ROOT / "examples").rglob("*.toml"):
        found.append((str(path.relative_to(ROOT)), path.read_text("utf-8")))
    for path in (ROOT / "examples").rglob("*.md"):
        for name in re.findall(r"[\w./-]+\.toml", path.read_text("utf-8")):
            assert name in ("rapidjws.toml", "/etc/rapidjws.toml"), f"{path}: which file is {name}?"
    return found


EXAMPLES_OF_DOCS = examples()


def table_of(properties: dict[str, Any], section: str) -> dict[str, Any]:
    """Return the schema of a section, which may stand within another one."""
    whole, _, part = section.partition(".")
    found: dict[str, Any] = properties[whole]
    return found["properties"][part] if part else found


def test_N10_the_page_is_current() -> None:
    """What the tool would write is what stands there."""
    command = [sys.executable, str(ROOT / "tools" / "configuration.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run tools/configuration.py"


def test_N10_the_page_has_every_setting_and_no_other() -> None:
    """Each section has a heading, a sentence, an example, and a row a setting, in the schema's order."""
    parts = re.split(r"^## `\[\[?([\w.]+)\]\]?`$", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    assert set(found) == set(TABLES) == set(WORDS) == set(SECTIONS) == set(EXAMPLES)
    for section, text in found.items():
        assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(TABLES[section])
        assert "```toml" in text
        for row in re.findall(r"^\| `.*$", text, re.MULTILINE):
            cells = [cell.strip() for cell in row.strip("|").split(" | ")]
            assert len(cells) == 6, row
            assert all(cells), row


def test_N10_units_stand_where_names_have_them() -> None:
    """A name that ends with a unit has it on the page."""
    rows = re.findall(r"^\| `(\w+)` \| .*? \| .*? \| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    for name, unit in rows:
        wanted = "seconds" if name.endswith("_s") else "bytes" if name.endswith("_bytes") else unit
        assert unit == wanted, name


def test_N10_defaults_are_those_that_hold(tmp_path: Path) -> None:
    """A default that the page and the schema name is accepted when it is written out."""
    for section, fields in TABLES.items():
        table = table_of(json_schema()["properties"], section)
        for name, one in table.get("items", table)["properties"].items():
            if (section, name) == ("server", "body"):
                continue
            if "default" not in one or (section, name) in NOT_WRITTEN_OUT:
                continue
            path = written(tmp_path, changed(section, name, one["default"]))
            assert problems_of(path, lambda found: settings_from(found, tmp_path)) == [], name
            assert one["default"] is not None
        assert set(fields) == set(WORDS[section])


def bounds(section: str, name: str) -> list[tuple[Any, bool]]:
    """Return values at and beyond the bounds that the page names, with whether they are allowed."""
    allowed = WORDS[section][name].allowed
    found = re.match(r"(above )?(\d+(?:\.\d+)?)(?: to (\d+))?( on)?(?=[;,]|$)", allowed)
    if found is None or not (found[1] or found[3] or found[4]):
        return []
    whole = TABLES[section][name] == schema.WHOLE
    least: Any = int(found[2]) if whole else float(found[2])
    step: Any = 1 if whole else 1e-4
    values: list[tuple[Any, bool]] = [(least, not found[1]), (least - step, False)]
    if found[3]:
        most: Any = int(found[3]) if whole else float(found[3])
        values += [(most, True), (most + step, False)]
    return values


@pytest.mark.parametrize(("section", "name"), [(one, name) for one in WORDS for name in WORDS[one]])
def test_N10_what_is_allowed_is_true(section: str, name: str, tmp_path: Path) -> None:
    """A bound that the page names is the bound that is checked; a choice of words is the whole choice."""
    for value, is_good in bounds(section, name):
        tables = changed(section, name, value)
        if "not beside `redis`" in WORDS[section][name].allowed:
            del tables[section]["redis"]
        if name in ("min_ttl_s", "retry_min_s"):
            continue  # their upper bounds are other settings
        found = problems_of(written(tmp_path, tables), lambda table: settings_from(table, tmp_path))
        assert (not found) is is_good, f"{name} = {value}: {found}"
    choice = re.fullmatch(
        r"((?:`[\w-]+`(?:, | or )?)+)(?:; only with `redis`)?", WORDS[section][name].allowed
    )
    for value in re.findall(r"`([\w-]+)`", choice[1]) if choice else ():
        path = written(tmp_path, changed(section, name, value))
        assert problems_of(path, lambda table: settings_from(table, tmp_path)) == [], value


def test_N10_bounds_are_found() -> None:
    """The reading of bounds sees those of the page."""
    assert bounds("server", "workers") == [(1, True), (0, False), (1024, True), (1025, False)]
    assert bounds("shadow", "timeout_s")[0] == (0.001, True)
    assert bounds("issuers", "timeout_s")[0] == (0.0, False)
    assert sum(bool(bounds(one, name)) for one in WORDS for name in WORDS[one]) >= 40


def test_N10_docs_have_examples() -> None:
    """The collection sees one a section of the reference, and those of other pages."""
    places = [place for place, _ in EXAMPLES_OF_DOCS]
    assert any(not place.startswith("docs/configuration.md") for place in places)
    assert sum(place.startswith("docs/configuration.md") for place in places) == len(TABLES)


@pytest.mark.parametrize(("place", "text"), EXAMPLES_OF_DOCS, ids=[place for place, _ in EXAMPLES_OF_DOCS])
def test_N10_every_example_passes_check(place: str, text: str, tmp_path: Path) -> None:
    """Each TOML example of README, docs and examples is good; one without issuers stands beside one."""
    assert SECTION.search(text), f"{place} is no configuration: mark it as another language"
    path = tmp_path / "rapidjws.toml"
    named = {one: None for found in NAMED.findall(text) for one in found if one} or {
        "https://i.example": None
    }
    issuers = "".join(ISSUER.replace("https://i.example", one, 1) for one in named)
    path.write_text(text if "[[issuers]]" in re.sub(r"#.*", "", text) else text + "\n" + issuers, "utf-8")
    found = CliRunner().invoke(app, ["config", "check", str(path), "--ignore-files"])
    assert (found.exit_code, found.output) == (0, f"{path}: good\n")


def test_N10_the_schema_describes_every_setting() -> None:
    """Each setting of the JSON Schema has words, and a default of its own type."""
    types = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    found = json.loads(CliRunner().invoke(app, ["config", "schema"]).output)["properties"]
    for section in TABLES:
        table = table_of(found, section)
        for name, one in table.get("items", table)["properties"].items():
            if (section, name) == ("server", "body"):  # a section of its own
                continue
            assert one["description"].strip(), name
            if "default" in one and "type" in one:
                assert isinstance(one["default"], types[one["type"]]), name

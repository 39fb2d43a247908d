"""Every block of README and the documentation is run or marked, and every link leads somewhere."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click
import pytest
from doc_blocks import blocks_of, commands_of, run_page
from typer.main import get_command
from typer.testing import CliRunner

from rapidjws import JWKSet
from rapidjws.cli.app import app, whole_app
from rapidjws.keys import Answer, FetchFailed
from rapidjws.keys.fetch import HttpsFetch

pytestmark = pytest.mark.source_tree

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        ROOT / "native" / "README.md",
    ]
)
RUN = [page for page in PAGES if page.is_relative_to(DOCS) or page == ROOT / "README.md"]
LANGUAGES = {"python", "console", "toml", "json", "text", "nginx", "yaml", "lua", "haproxy", "caddy", "sh"}
RUN_LANGUAGES = {"python", "console", "toml"}
ALL: Any = get_command(whole_app())
CONTEXT: Any = click.Context(click.Command("rapidjws"))


def name_of(page: Path) -> str:
    """Name a page by its place."""
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Give what puts a document behind an address, for as long as the test runs; no other one answers.

    A JWKSet is a JWK Set, a dict is JSON, and text stands as it is.
    """
    published: dict[str, bytes] = {}

    def fetch(self: HttpsFetch, url: str, etag: str | None) -> Answer:
        if url not in published:
            raise FetchFailed("status", 404)
        return Answer(status=200, headers={}, body=published[url])

    def put(url: str, jwks: Any) -> None:
        page = jwks.as_dict() if isinstance(jwks, JWKSet) else jwks
        published[url] = (page if isinstance(page, str) else json.dumps(page)).encode()

    monkeypatch.setattr(HttpsFetch, "__call__", fetch)
    return put


def invoke(arguments: list[str]) -> tuple[int, str]:
    """Run a command in this process; return its exit code and output."""
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publish: Callable[[str, Any], None]
) -> None:
    """What a page shows works: Python, sessions, `rapidjws` commands, configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    run_page(page, tmp_path, {"__name__": "page", "publish": publish, "folder": tmp_path}, invoke)


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_blocks_have_a_language_and_a_reason(page: Path) -> None:
    """Each block names its language; each one that is not run says why, in words."""
    for block in blocks_of(page.read_text("utf-8")):
        assert block.language in LANGUAGES | {"prelude"}, f"{name_of(page)}:{block.line}: {block.language!r}"
        assert block.reason is None or len(block.reason.split()) >= 2, f"{name_of(page)}:{block.line}"


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the site and GitHub make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE):
        slug = re.sub(r"[^\w\s-]", "", heading.strip().lower())
        found.add(re.sub(r"[-\s]+", "-", slug))
    return found


def links_of(page: Path) -> list[str]:
    """Return the addresses that a page links to or shows."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file that is there, and each anchor a heading of it."""
    broken = []
    for link in links_of(page):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


def test_docs_link_within_the_site_only() -> None:
    """A page of the site links to pages of the site: what lies outside is named by its address or path."""
    outside = [
        (name_of(page), link)
        for page in DOCS.rglob("*.md")
        for link in links_of(page)
        if not link.startswith(("https://", "mailto:", "#"))
        and not (page.parent / link.partition("#")[0]).resolve().is_relative_to(DOCS)
    ]
    assert outside == []


def test_every_page_is_in_the_navigation() -> None:
    """A page that nobody can reach is not there."""
    navigation = (ROOT / "zensical.toml").read_text("utf-8")
    listed = set(re.findall(r'"([\w/.-]+\.md)"', navigation))
    there = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert listed == there


def test_every_task_is_in_the_list_of_tasks() -> None:
    """A reader with a task finds each page of the section, and each provider, from its first page."""
    for folder in ("how-to", "providers"):
        listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (DOCS / folder / "index.md").read_text("utf-8")))
        assert {page.name for page in (DOCS / folder).glob("*.md")} - listed == {"index.md"}


def test_every_extra_is_in_the_list_of_extras() -> None:
    """What can be installed stands with what it brings."""
    section = (ROOT / "pyproject.toml").read_text("utf-8").partition("[project.optional-dependencies]")[2]
    extras = set(re.findall(r"^([a-z0-9]+) = \[", section.partition("\n[")[0], re.MULTILINE))
    page = (DOCS / "installation.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[a-z0-9`, ]+) \|", page, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == extras


def test_readme_is_short() -> None:
    """README has at most 130 lines; the rest is documentation."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 130


def test_console_blocks_are_read_by_command() -> None:
    """A command goes to the end of its line, continued lines included; what follows is its output."""
    (block,) = blocks_of("```console\n$ rapidjws version \\\n  --json\nthis\n$ rapidjws demo\n```\n")
    assert commands_of(block) == [("rapidjws version    --json", "this\n"), ("rapidjws demo", "")]


def wrong_options(command: str) -> list[str]:
    """Return the options of a `rapidjws` command that it does not have, or the command itself for none."""
    words = shlex.split(command.replace("...", " "), comments=True)[1:]
    group = ALL
    while hasattr(group, "commands") and words and not words[0].startswith("-"):
        named = group.get_command(CONTEXT, words[0])
        if named is None:
            return [] if group.name == "attest" else [words[0]]
        group, words = named, words[1:]
    if group.name == "attest":
        group = group.commands["sign"]
    known = {name for one in group.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    return [
        word
        for word in words
        if re.fullmatch(r"--[a-z-]+(=.*)?", word) and word.partition("=")[0] not in known
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_that_are_not_run_exist(page: Path) -> None:
    """Each `rapidjws` command of a page, also of a block that is not run, has the options that it shows."""
    wrong = []
    for block in blocks_of(page.read_text("utf-8")):
        if block.language not in {"sh", "console", "yaml"}:
            continue
        text = re.sub(r"\\+\n", " ", block.text)
        for line in text.splitlines():
            for part in re.split(r"\||&&|;|\$\(", line.removeprefix("$ ").strip()):
                command = re.sub(r"[<>]\s*\S+|\s#.*$", "", part.strip().removeprefix("- run: "))
                is_whole = command.count('"') % 2 == command.count("'") % 2 == 0
                if is_whole and re.match(r"rapidjws [a-z-]+(\s|$)", command):
                    wrong += [(block.line, command, one) for one in wrong_options(command)]
    assert wrong == []


def test_a_mark_holds_for_the_block_after_it() -> None:
    """The reason goes with the next block, and with no other."""
    page = "<!-- not run: it is slow -->\n\n```python\n1 / 0\n```\n\n```python\npass\n```\n"
    assert [block.reason for block in blocks_of(page)] == ["it is slow", None]


def test_a_saved_file_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file defines is not there in the next block unless that imports it: so it is for a reader."""
    monkeypatch.syspath_prepend(str(tmp_path))
    page, saved = tmp_path / "page.md", "```python\n# saved_page.py\nvalue = 1\n```\n\n"
    page.write_text(saved + "```python\nassert value == 1\n```\n", "utf-8")
    with pytest.raises(NameError):
        run_page(page, tmp_path, {}, invoke)
    page.write_text(saved + "```python\nfrom saved_page import value\nassert value == 1\n```\n", "utf-8")
    assert run_page(page, tmp_path, {}, invoke) == 2


def test_a_block_that_fails_fails_the_page(tmp_path: Path) -> None:
    """A wrong value in a session, an error in a module, a command with another exit code are noticed."""
    for wrong in (
        "```python\n>>> 1 + 1\n3\n```\n",
        "```python\nassert False\n```\n",
        "```console\n$ rapidjws decode nothing\n```\n",
        "```console\n$ pip install rapidjws\n```\n",
        "```toml\n[\n```\n",
    ):
        page = tmp_path / "page.md"
        page.write_text(wrong)
        with pytest.raises((AssertionError, ValueError)):
            run_page(page, tmp_path, {}, invoke)

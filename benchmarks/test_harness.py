"""The harness itself: the corpus repeats, a careless peer is caught, tables and plots come out whole."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import corpus
import pytest
import report
import svg
from session import Failed, Session, Unsupported

HERE = Path(__file__).resolve().parent

CARELESS = """
import sys
sys.path.insert(0, {folder!r})
from protocol import Peer, Unsupported, serve
def prepare(corpus):
    if corpus.variant == "lacking":
        raise Unsupported("not here")
    def one(token):
        if corpus.variant == "strict":
            raise ValueError
        return {{"sub": corpus.subject}}
    return Peer(one=one, refusals=(ValueError,))
serve("careless", "0", prepare)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a corpus of one algorithm."""
    place = tmp_path_factory.mktemp("corpus")
    corpus.write_corpus(place, ("HS256",))
    return place


@pytest.fixture
def careless(tmp_path: Path) -> list[str]:
    """Write a peer that verifies nothing; its variant `strict` refuses everything."""
    program = tmp_path / "careless.py"
    program.write_text(CARELESS.format(folder=str(HERE / "peers")))
    return [sys.executable, str(program)]


@pytest.mark.parametrize("alg", ["HS256", "RS256", "ES256", "ES512", "EdDSA"])
def test_the_corpus_is_the_same_every_time(alg: str) -> None:
    """Keys, claims and signatures follow from the seeds alone."""
    first, second = ([*corpus.make_tokens(corpus.make_key(alg), 16, 4)] for _ in range(2))
    assert first == second
    assert sorted({verdict for verdict, _ in first}) == sorted({"ok", *corpus.BAD_KINDS})


def test_signing_inputs_have_the_size_that_is_reported() -> None:
    """Signing inputs are 400 bytes long, less a few for a whole word."""
    for _, token in corpus.make_tokens(corpus.make_key("ES256"), 8, 0):
        assert corpus.SIGNING_INPUT_BYTES - 30 <= token.rindex(".") <= corpus.SIGNING_INPUT_BYTES


@pytest.mark.parametrize("variant", ["lax", "strict"])
def test_a_peer_with_wrong_verdicts_is_stopped(folder: Path, careless: list[str], variant: str) -> None:
    """A peer that accepts what is bad, or refuses what is good, gets no figure."""
    with pytest.raises(Failed, match="wrong verdict"):
        Session(careless, folder, "HS256", variant, 1)


def test_a_peer_may_lack_an_algorithm(folder: Path, careless: list[str]) -> None:
    """A peer that says it lacks something is noted as such, not as failed."""
    with pytest.raises(Unsupported, match="not here"):
        Session(careless, folder, "HS256", "lacking", 1)


def test_a_page_keeps_what_stands_around_its_markers(tmp_path: Path) -> None:
    """Only what stands between the markers changes; a page without them stays."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
    report.write_between(page, "bench", "new")
    report.write_between(page, "speed", "nothing")
    assert page.read_text() == "before\n<!-- bench:begin -->\nnew\n<!-- bench:end -->\nafter\n"


def test_pages_have_the_markers_that_are_written_between() -> None:
    """The tables of the last run have a place in the documentation and in README."""
    root = Path(report.__file__).resolve().parents[1]
    if not (root / report.PAGE).is_file():
        pytest.skip("the documentation is not in this tree")
    assert "<!-- bench:begin -->" in (root / report.PAGE).read_text("utf-8")
    assert "<!-- gateways:begin -->" in (root / report.PAGE).read_text("utf-8")
    assert "<!-- speed:begin -->" in (root / report.README).read_text("utf-8")


def test_plots_are_well_formed() -> None:
    """Both kinds of plot parse as XML and hold one shape for each figure."""
    bars = ElementTree.fromstring(
        svg.bars("a & b", "us", ["x", "y"], [("ES256", [1.0, None]), ("<RS>", [20.0, 3.0])])
    )
    assert len([one for one in bars.iter() if one.tag.endswith("rect") and len(one)]) == 3
    lines = ElementTree.fromstring(svg.lines("t", "keys", "rate", [("s", [(1, 10.0), (100, 5.0)])]))
    assert len([one for one in lines.iter() if one.tag.endswith("circle")]) == 2

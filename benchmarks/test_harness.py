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


def test_signing_inputs_have_the_size_that_is_told() -> None:
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


def test_the_readme_block_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    """Only what stands between the markers changes."""
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_readme(readme, "new")
    assert readme.read_text() == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"


def test_plots_are_well_formed() -> None:
    """Both kinds of plot parse as XML and hold one shape for each figure."""
    bars = ElementTree.fromstring(
        svg.bars("a & b", "us", ["x", "y"], [("ES256", [1.0, None]), ("<RS>", [20.0, 3.0])])
    )
    assert len([one for one in bars.iter() if one.tag.endswith("rect") and len(one)]) == 3
    lines = ElementTree.fromstring(svg.lines("t", "keys", "rate", [("s", [(1, 10.0), (100, 5.0)])]))
    assert len([one for one in lines.iter() if one.tag.endswith("circle")]) == 2

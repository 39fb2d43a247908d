"""`rapidjws.testing.benchmarks`: the example as its readers would run it, and what its gate refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rapidjws
from rapidjws.testing.benchmarks import Workload, floor_us, workload

pytest.importorskip("pytest_benchmark")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "benchmarks-in-ci"
PACKAGE = Path(next(iter(rapidjws.__path__))).resolve().parent
TESTS = ("test_our_own_engine", "test_ready_made[ES256]", "test_ready_made[RS256]")

ALONE = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
"""Without what tells pytest-benchmark that it stands in a parallel run, where it measures nothing."""

pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are not in this tree")


def run_example(folder: Path, *options: str) -> tuple[int, str]:
    """Run the example's tests; give the exit code and what was printed."""
    settings = {"PYTHONPATH": os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])}
    strangers = ("cacheprovider", "faker", "anyio", "hypothesispytest", "xdist", "rapidjws")
    without = [word for name in strangers for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "-q", *without, f"--rootdir={folder}"]
    answer = subprocess.run(
        [*command, *options, str(folder)],
        cwd=folder, env=ALONE | settings, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    return answer.returncode, answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the example to where nothing of this checkout reaches it, and take its baseline."""
    folder = tmp_path_factory.mktemp("benchmarks-in-ci")
    for path in EXAMPLE.glob("*.py"):
        (folder / path.name).write_text(path.read_text("utf-8"), "utf-8")
    code, printed = run_example(folder, "--jws-baseline", "baseline.json", "--jws-baseline-update")
    assert code == 0, printed
    return folder


def figures(folder: Path) -> dict[str, float]:
    """Read the baseline."""
    read: dict[str, float] = json.loads((folder / "baseline.json").read_text("utf-8"))
    return read


def test_the_example_takes_a_baseline(example: Path) -> None:
    """The first command of the example writes a figure for each of its tests."""
    found = figures(example)
    assert tuple(sorted(found)) == TESTS
    assert all(figure > 0 for figure in found.values())


def test_the_example_holds_its_baseline(example: Path) -> None:
    """A baseline far below passes, whatever else the machine does meanwhile, and is left as it was."""
    low = {name: figure / 1000 for name, figure in figures(example).items()}
    (example / "low.json").write_text(json.dumps(low), "utf-8")
    code, printed = run_example(
        example, "--jws-baseline", "low.json", "--benchmark-json", str(example / "speed.json")
    )
    assert code == 0, printed
    assert json.loads((example / "low.json").read_text("utf-8")) == low
    infos = [one["extra_info"] for one in json.loads((example / "speed.json").read_text())["benchmarks"]]
    assert [sorted(info) for info in infos] == [["times_floor", "us_per_token"]] * 3


def test_a_slower_engine_fails(example: Path) -> None:
    """A figure far below the baseline's fails, and the message names the test and both figures."""
    high = {name: figure * 1000 for name, figure in figures(example).items()}
    (example / "high.json").write_text(json.dumps(high), "utf-8")
    code, printed = run_example(example, "--jws-baseline", "high.json")
    assert code == 1
    assert "3 failed" in printed
    for name in TESTS:
        assert f"AssertionError: {name}: " in printed
    assert f"was {high[TESTS[0]]}; 25% less is allowed" in printed


def test_a_test_without_a_figure_fails(example: Path) -> None:
    """A test that the baseline does not know is named, not passed over."""
    (example / "empty.json").write_text("{}", "utf-8")
    code, printed = run_example(example, "--jws-baseline", "empty.json", "-k", "own_engine")
    assert code == 1
    assert "empty.json has no figure for test_our_own_engine" in printed


def test_a_wrong_verdict_fails(example: Path, tmp_path: Path) -> None:
    """One accepted token more or less than expected fails, without any baseline."""
    (tmp_path / "conftest.py").write_text((example / "conftest.py").read_text("utf-8"), "utf-8")
    (tmp_path / "test_wrong.py").write_text(
        "import dataclasses\n"
        "from rapidjws.testing.benchmarks import workload\n"
        "def test_wrong(jws_gate):\n"
        "    work = workload('HS256', count=32, refused=2)\n"
        "    jws_gate(dataclasses.replace(work, accepted=31), rounds=2)\n",
        "utf-8",
    )
    code, printed = run_example(tmp_path)
    assert code == 1
    assert "30 of 32 accepted, expected 31" in printed


def test_without_measuring_only_verdicts_count(example: Path) -> None:
    """Under `--benchmark-disable` no figure is compared."""
    (example / "unread.json").write_text("{}", "utf-8")
    code, printed = run_example(
        example, "--benchmark-disable", "--jws-baseline", "unread.json", "-k", "own_engine"
    )
    assert code == 0, printed


def test_an_update_needs_a_file(example: Path) -> None:
    """`--jws-baseline-update` alone is wrong usage, and says what is missing."""
    code, printed = run_example(example, "--jws-baseline-update", "-k", "own_engine")
    assert code == 1
    assert "--jws-baseline-update needs --jws-baseline FILE" in printed


@pytest.mark.parametrize("alg", rapidjws.ALGORITHMS)
def test_every_algorithm_has_a_workload_and_a_floor(alg: str) -> None:
    """For each algorithm the forged tokens are refused, the others accepted, and the floor takes its time."""
    if rapidjws.backends().algorithms[alg] == "none":
        pytest.skip(f"no backend has {alg}")
    work = workload(alg, count=9, refused=2)
    results = work.engine.verify_many(work.tokens)
    refused = [n for n, result in enumerate(results) if isinstance(result, rapidjws.Rejected)]
    assert (refused, work.accepted) == ([0, 4], 7)
    assert {results[n].code for n in refused} == {"signature_invalid"}  # type: ignore[union-attr]
    assert floor_us(alg)() > 0


@pytest.mark.parametrize(("count", "refused"), [(0, 0), (4, 4), (4, -1)])
def test_workloads_without_a_good_token_are_refused(count: int, refused: int) -> None:
    """A workload that proves no acceptance is no workload."""
    with pytest.raises(rapidjws.ConfigurationError) as caught:
        workload("HS256", count=count, refused=refused)
    assert caught.value.place == "refused"


@pytest.mark.parametrize("accepted", [0, 33])
def test_expected_counts_are_checked(accepted: int) -> None:
    """A workload that expects no acceptance, or more than there are tokens, is refused."""
    good = workload("HS256", count=32, refused=0)
    with pytest.raises(rapidjws.ConfigurationError):
        Workload(engine=good.engine, tokens=good.tokens, alg="HS256", accepted=accepted)
    with pytest.raises(rapidjws.HeaderRefused):
        Workload(engine=good.engine, tokens=good.tokens, alg="none", accepted=1)

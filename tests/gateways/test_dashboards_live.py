"""Every expression of the dashboards and rules, on data of a real run under a real Prometheus."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest
from dashboards import NAMES, metric_queries
from monitoring import program

from rapidjws.gameday.load import Load
from rapidjws.gameday.prometheus import Prometheus
from rapidjws.gameday.scenarios import write_edited
from rapidjws.gameday.testbed import Testbed, wait_until
from rapidjws.observe.alert_rules import rules

pytestmark = [pytest.mark.gateways, pytest.mark.xdist_group("dashboards_live")]

QUERIES = sorted({query for name in NAMES for query in metric_queries(name)})


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Prometheus]]:
    """Run a service through a rotation, a rollback, a reload and refusals; give its Prometheus."""
    for needed in ("prometheus", "redis-server"):
        program(needed)
    folder = tmp_path_factory.mktemp("live")
    with (
        Testbed(folder, redis=True) as bed,
        Prometheus(folder / "classic", f"127.0.0.1:{bed.port}", 15) as classic,
        Prometheus(folder / "native", f"127.0.0.1:{bed.port}", 15, native=True) as native,
        Load(bed, 40) as load,
    ):
        for one in (classic, native):
            wait_until(lambda one=one: one.query("rapidjws_verifications_total"), "a first scrape")
        changes(bed, load)
        yield {"classic": classic, "native": native}
    shutil.rmtree(folder, ignore_errors=True)


def changes(bed: Testbed, load: Load) -> None:
    """Have everything happen that the dashboards show: refusals of several kinds, a rotation, changes."""
    used = bed.token()
    wrong = (
        lambda: bed.token(exp=int(time.time()) - 1000),
        lambda: bed.token(aud="https://nobody.example"),
        lambda: used,
        lambda: bed.issuer.token(bed.issuer.claims(int(time.time())), header={"kid": "made-up"}),
    )
    for _ in range(10):
        for made in wrong:
            bed.ask(made(), "shop")
    bed.issuer.rotate(keep=1)
    for _ in range(4):  # the unknown kid causes a fetch in each worker
        bed.ask(bed.token())
    write_edited(bed, lambda tables: tables["issuers"][0].update(rotation_until="2099-01-01"))
    shutil.copyfile(bed.folder / "edited.json", bed.config)
    secret = (bed.folder / "hook-secret").read_text()
    bed.post("/hooks/jwks-rotated", {"Authorization": f"Bearer {secret}"})
    bed.run("rollout", "rollback", "--config", str(bed.config), "--to", "warning", "--why", "a test")
    wait_until(lambda: load.statuses.total() > 200, "some load")


@pytest.mark.parametrize("kind", ["classic", "native"])
@pytest.mark.parametrize(("title", "expression"), QUERIES, ids=[title for title, _ in QUERIES])
def test_an_expression_returns_data(
    title: str, expression: str, kind: str, prometheus: dict[str, Prometheus]
) -> None:
    """Prometheus reads the expression, and it gives data of the run, with classic and native histograms."""
    assert prometheus[kind].call("format_query", query=expression)
    wait_until(lambda: prometheus[kind].query(expression), f"{title}: {expression}", 30)


@pytest.mark.parametrize("kind", ["classic", "native"])
def test_rules_are_read(kind: str, prometheus: dict[str, Prometheus]) -> None:
    """Prometheus takes all rules, evaluates each without an error, and records the ratios."""
    watched = prometheus[kind]
    loaded = [rule for group in watched.call("rules")["groups"] for rule in group["rules"]]
    assert len(loaded) == sum(len(group["rules"]) for group in rules()["groups"])
    assert [rule["name"] for rule in loaded if rule["health"] == "err"] == []
    ratio = "rapidjws:verification_errors:ratio_rate5m"
    wait_until(lambda: watched.query(ratio), "the recorded ratio", 30)

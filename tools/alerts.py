"""Write the alert rules of Prometheus and a configuration of Alertmanager into the package, and their page.

Run without arguments to write the files, with ``--check`` to fail where one is not current.
"""

from __future__ import annotations

from pathlib import Path

from generated import write_or_check

from rapidjws.observe.alert_list import ALERTS, PREFIX
from rapidjws.observe.alert_rules import alertmanager, rules
from rapidjws.observe.yaml_text import yaml_text

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "src" / "rapidjws" / "observe" / "data"
PAGE = ROOT / "docs" / "operations" / "alerts.md"
MADE = (
    "# Made by tools/alerts.py; do not edit it here. The addresses of runbooks and dashboards are examples:\n"
    "# `rapidjws alerts` prints the rules with yours.\n"
)
HEAD = """# Alerts

Made by `tools/alerts.py` from `rapidjws.observe.alert_list`; do not edit it here.

`rapidjws alerts` prints the rules for Prometheus, with the addresses of your documentation and Grafana;
`rapidjws alerts --alertmanager` prints a configuration of Alertmanager to begin with. Alerts are grouped by
issuer and cause.

- The objective M1 (99.9 % of verifications end with permit) has burn rates of several windows, apart for
  refused (`deny`) and undecided (`indeterminate`) tokens. Tokens that name none of our issuers burn none.
- While a rotation of an issuer's keys is announced (`rapidjws_planned_rotation`), alerts about its
  rotation and its refusals are inhibited. While the rollout is frozen (`rapidjws_rollout_frozen`), tickets
  and alerts about the rollout are. Alerts with the cause `security` never are.

| alert | severity | cause | for | measure | runbook |
| --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    rows = ""
    for one in ALERTS:
        severity = f"{one.severity}, escalates" if one.escalate else one.severity
        runbook = f"[{one.runbook}](runbooks/{one.runbook}.md)"
        cells = (f"`{PREFIX}{one.name}`", severity, one.cause, f"{one.for_s} s", one.measure or "-", runbook)
        rows += f"| {' | '.join(cells)} |\n"
    return HEAD + rows


def main() -> int:
    """Write the files, or check them; return the exit status."""
    DATA.mkdir(exist_ok=True)
    files = {
        DATA / "prometheus-rules.yaml": MADE + yaml_text(rules()),
        DATA / "alertmanager.yaml": MADE + yaml_text(alertmanager()),
        PAGE: page(),
    }
    return int(any(list(map(write_or_check, files, files.values()))))


if __name__ == "__main__":
    raise SystemExit(main())

"""``rapidjws issue overlap``: who still uses a key that stopped signing."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapidjws.cli.output import print_line
from rapidjws.rollout.evidence import Evidence
from rapidjws.rollout.key_use import key_uses

if TYPE_CHECKING:
    from rapidjws.issuing import IssuingState


def overlap_rows(state: IssuingState, folders: list[Path]) -> list[dict[str, Any]]:
    """Return each use of a key of the state, by key, partner and route.

    Args:
        state: The issuer's keys.
        folders: The ``state`` folders of consumers' rollouts.
    """
    evidence = [Evidence(folder).rows() for folder in folders]
    found = []
    for key in state.keys:
        thumbprint = key.public().thumbprint()
        for rows in evidence:
            for use in key_uses(rows, thumbprint):
                is_late = key.stopped_at_s is not None and use.last_s > key.stopped_at_s
                found.append({"kid": key.kid, "stage": key.stage, **asdict(use), "after_it_stopped": is_late})
    return found


def show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print the uses, a line each."""
    for one in rows:
        if as_json:
            print(json.dumps(one))
            continue
        last = datetime.fromtimestamp(one["last_s"], timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        words = ", after it stopped signing" if one["after_it_stopped"] else ""
        who = f"{one['partner'] or 'nobody named'} {one['route']}".strip()
        print_line(f"{one['kid']} {one['stage']}: {who} {one['count']} times, last {last}{words}")
    if not rows and not as_json:
        print_line("no use of a key of this issuer was seen")

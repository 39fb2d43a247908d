"""Make the plain manifests of deploy/kubernetes from the chart; --check says whether they are up to date.

python tools/deploy.py [--check]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy/helm/rapidjws"
PLAIN = ROOT / "deploy/kubernetes"
HELM = ROOT / "build/kubernetes/helm"
MADE = "# Made from the chart by tools/deploy.py; do not edit it here.\n"

PARENT = """apiVersion: v2
name: parent
version: 0.0.0
dependencies: [{ name: rapidjws, version: ">=0.0.0-0" }]
"""
PATCH = """apiVersion: apps/v1
kind: Deployment
metadata: { name: any }
spec:
  template:
    spec:
      securityContext: { fsGroup: 65532 } # both containers may open the socket
      initContainers:
        - {{- include "rapidjws.sidecar" .Subcharts.rapidjws | nindent 10 }}
      volumes:
        {{- include "rapidjws.volumes" .Subcharts.rapidjws | nindent 8 }}
"""


def rendered(*words: object) -> str:
    """Return what ``helm template`` makes of a chart; raises CalledProcessError."""
    done = subprocess.run(
        [str(HELM), "template", *map(str, words)], check=True, capture_output=True, text=True, timeout=120
    )
    return done.stdout


def base() -> str:
    """Return the manifests of the central Deployment."""
    text = rendered("rapidjws", CHART, "--namespace", "rapidjws", "--values", PLAIN / "values.yaml")
    return MADE + text.replace("    app.kubernetes.io/managed-by: Helm\n", "")


def sidecar_patch() -> str:
    """Return the patch that takes the native sidecar into a Deployment, by a chart that includes ours."""
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        (parent / "Chart.yaml").write_text(PARENT)
        (parent / "templates").mkdir()
        (parent / "templates/patch.yaml").write_text(PATCH)
        (parent / "charts").mkdir()
        (parent / "charts/rapidjws").symlink_to(CHART)
        values = {
            "rapidjws": {
                "mode": "sidecar",
                "fullnameOverride": "rapidjws",
                "config": {"issuers": [{"iss": "any"}]},
            }
        }
        (parent / "values.yaml").write_text(json.dumps(values))
        text = rendered("any", parent, "--show-only", "templates/patch.yaml")
    return MADE + text


def main(words: list[str]) -> int:
    """Write or compare; return 1 where a file is not what the chart makes."""
    wrong = []
    for path, text in (
        (PLAIN / "base/resources.yaml", base()),
        (PLAIN / "sidecar/patch.yaml", sidecar_patch()),
    ):
        if "--check" not in words:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text("utf-8") != text:
            wrong.append(path)
    for path in wrong:
        print(f"{path.relative_to(ROOT)} is not what the chart makes: run python tools/deploy.py")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

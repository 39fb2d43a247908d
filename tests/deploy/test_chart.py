"""The Helm chart: lint, a matrix of values against the Kubernetes schemas, and what it refuses."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from gates import COMMAND

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/rapidjws"
HELM = ROOT / "build/kubernetes/helm"
KUBECTL = ROOT / "build/kubernetes/kubectl"
DATA = ROOT / "src/rapidjws/observe/data"
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True}
ISSUER = {
    "iss": "https://issuer.example",
    "jwks_url": "https://issuer.example/jwks",
    "algorithms": ["ES256"],
    "audience": ["https://api.example"],
}
BASE: dict[str, Any] = {"config": {"issuers": [ISSUER]}}
OWN = {"serviceMonitor", "prometheusRule", "dashboards"}
CUSTOM = {"ServiceMonitor", "PrometheusRule"}

pytestmark = [
    pytest.mark.source_tree,
    pytest.mark.skipif(not HELM.is_file(), reason="no helm: `make kubernetes` gets it on Linux x86-64"),
]


def helm(*words: object, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm with values by way of its standard input."""
    given = [] if values is None else ["--values", "-"]
    return subprocess.run(
        [str(HELM), *map(str, words), *given],
        input=json.dumps(values or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the resources that the chart makes."""
    done = helm("template", "gate", CHART, "--namespace", "shop", values=values)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one is not None]


def kinds(resources: list[dict[str, Any]]) -> list[str]:
    """Return the kinds of resources, in order of the alphabet."""
    return sorted(one["kind"] for one in resources)


def merged(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return values with others on top."""
    found: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            both = isinstance(value, dict) and isinstance(found.get(name), dict)
            found[name] = merged(found[name], value) if both else value
    return found


MATRIX: list[list[dict[str, Any]]] = [
    [{}, {"mode": "sidecar"}],
    [{}, {"server": {"grpcPort": 8089, "workers": 4}, "autoscaling": {"enabled": True}, "replicaCount": 5}],
    [
        {"networkPolicy": {"enabled": False}, "podDisruptionBudget": {"enabled": False}},
        {
            "networkPolicy": {"from": [{"podSelector": {"matchLabels": {"app": "envoy"}}}],
                              "metricsFrom": [{"namespaceSelector": {}}]},
            "monitoring": {one: {"enabled": True, "labels": {"release": "prometheus"}} for one in OWN},
            "secrets": [{"name": "hooks", "secretName": "rapidjws-hooks"}],
            "caConfigMap": "cluster-ca",
            "state": {"existingClaim": "state"},
            "image": {"registry": "images.example:5000", "digest": "sha256:" + "a" * 64},
            "podAnnotations": {"a": "1"},
            "podLabels": {"b": "2"},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"operator": "Exists"}],
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
            "imagePullSecrets": [{"name": "pull"}],
            "priorityClassName": "high",
            "serviceAccount": {"create": False, "name": "mine"},
            "existingConfig": {"kind": "Secret", "name": "own", "key": "rapidjws.json"},
        },
    ],
]  # fmt: skip


@pytest.mark.parametrize("values", [merged(BASE, *row) for row in itertools.product(*MATRIX)])
def test_every_set_of_values_makes_valid_resources(values: dict[str, Any]) -> None:
    """The Kubernetes schemas take each resource, and only the custom ones are beyond them."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for one in rendered(values):
        assert one["metadata"]["namespace"] == "shop"
        if one["kind"] not in CUSTOM:
            validate.validate(one, "1.37", strict=True)


def test_lint_has_no_complaint() -> None:
    """``helm lint`` passes with the values of the plain manifests, in its strict form."""
    done = helm("lint", "--strict", CHART, "--values", ROOT / "deploy/kubernetes/values.yaml")
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


def test_the_configuration_passes_our_own_check(tmp_path: Path) -> None:
    """What the chart writes is what ``rapidjws config check`` takes, in both modes."""
    for mode in ("central", "sidecar"):
        values = merged(BASE, {"mode": mode, "server": {"grpcPort": 8089 if mode == "central" else 0}})
        (found,) = [one for one in rendered(values) if one["kind"] == "ConfigMap"]
        path = tmp_path / f"{mode}.json"
        path.write_text(found["data"]["config.json"])
        words = [*COMMAND, "config", "check", str(path), "--ignore-files"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        server = json.loads(found["data"]["config.json"])["server"]
        assert server.get("grpc_server") == ("ngh2" if mode == "central" else None)
        assert server["listen"] == ("0.0.0.0:8088" if mode == "central" else "unix:/run/rapidjws/verify.sock")


def test_a_pod_is_restricted_and_drains() -> None:
    """The container has no privilege, writes to its volumes only, and has time for requests under way."""
    values = merged(BASE, {"server": {"drainSeconds": 20}, "preStopSleepSeconds": 7})
    (pod,) = [one["spec"]["template"]["spec"] for one in rendered(values) if one["kind"] == "Deployment"]
    (container,) = pod["containers"]
    context = container["securityContext"]
    assert context.items() >= RESTRICTED.items()
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] >= 20 + 7
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 7
    writable = {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")}
    assert writable == {"/run/rapidjws", "/var/lib/rapidjws"}
    assert "memory" in container["resources"]["limits"]


def test_a_change_of_the_configuration_replaces_the_pods() -> None:
    """The pods carry a checksum of the configuration: another one, other pods."""
    sums = []
    for audience in ("a", "b"):
        values = {"config": {"issuers": [{**ISSUER, "audience": [audience]}]}}
        (found,) = [one for one in rendered(values) if one["kind"] == "Deployment"]
        sums.append(found["spec"]["template"]["metadata"]["annotations"]["checksum/config"])
    assert len(set(sums)) == 2


def test_rules_and_dashboards_are_those_of_the_package() -> None:
    """The PrometheusRule and the dashboards hold what the package carries, to the letter."""
    values = merged(BASE, {"monitoring": {one: {"enabled": True} for one in OWN}})
    found = rendered(values)
    (rule,) = [one for one in found if one["kind"] == "PrometheusRule"]
    assert rule["spec"] == yaml.safe_load((DATA / "prometheus-rules.yaml").read_text("utf-8"))
    (boards,) = [one for one in found if one["metadata"]["name"].endswith("-dashboards")]
    for path in (DATA / "dashboards").glob("*.json"):
        assert json.loads(boards["data"][f"rapidjws-{path.name}"]) == json.loads(path.read_text("utf-8"))
    assert len(boards["data"]) == len(list((DATA / "dashboards").glob("*.json"))) > 0


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "config.issuers"),
        ({**BASE, "replicas": 3}, "replicas"),
        ({**BASE, "mode": "daemon"}, "mode"),
        ({**BASE, "server": {"port": 80}}, "port"),
        ({**BASE, "server": {"port": "http"}}, "port"),
        ({**BASE, "image": {"digest": "latest"}}, "digest"),
        ({**BASE, "existingConfig": {"kind": "Pod", "name": "a", "key": "b"}}, "existingConfig"),
        ({**BASE, "existingConfig": {"name": "a"}}, "existingConfig"),
        ({**BASE, "secrets": [{"name": "../etc", "secretName": "a"}]}, "secrets"),
        ({"config": {"issuers": [ISSUER], "server": {"listen": "0.0.0.0:1"}}}, "config.server.listen"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(values: dict[str, Any], named: str) -> None:
    """A misspelt or impossible value is refused by name before anything is made."""
    done = helm("template", "gate", CHART, values=values)
    assert done.returncode != 0
    assert named.replace(".", "/") in done.stderr.replace(".", "/")
    assert "kind:" not in done.stdout


def test_the_plain_manifests_are_what_the_chart_makes() -> None:
    """The manifests and the sidecar's patch in the tree are up to date."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/deploy.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not KUBECTL.is_file(), reason="no kubectl: `make kubernetes` gets it on Linux x86-64")
def test_kustomize_takes_the_sidecar_into_a_deployment(tmp_path: Path) -> None:
    """The component adds a native sidecar, its volumes and the pod's group; others stay."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    sidecar = ROOT / "deploy/kubernetes/sidecar"
    (tmp_path / "app").mkdir()
    example = (sidecar / "example.yaml").read_text("utf-8")
    other = example.replace("orders", "other").replace(', rapidjws/sidecar: "true"', "")
    (tmp_path / "app/both.yaml").write_text(f"{example}---\n{other}")
    component = tmp_path / "sidecar"
    component.mkdir()
    for name in ("kustomization.yaml", "patch.yaml"):
        (component / name).write_text((sidecar / name).read_text("utf-8"))
    (tmp_path / "app/kustomization.yaml").write_text("resources: [both.yaml]\ncomponents: [../sidecar]\n")
    done = subprocess.run(
        [str(KUBECTL), "kustomize", str(tmp_path / "app")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {one["metadata"]["name"]: one for one in yaml.safe_load_all(done.stdout)}
    for one in found.values():
        validate.validate(one, "1.37", strict=True)
    pod = found["orders"]["spec"]["template"]["spec"]
    (native,) = pod["initContainers"]
    assert native["restartPolicy"] == "Always"
    assert pod["securityContext"]["fsGroup"] == native["securityContext"]["runAsUser"]
    assert {one["name"] for one in pod["volumes"]} == {
        "envoy", "rapidjws-config", "rapidjws-run", "rapidjws-state"
    }  # fmt: skip
    assert "initContainers" not in found["other"]["spec"]["template"]["spec"]


@pytest.mark.skipif(not KUBECTL.is_file(), reason="no kubectl: `make kubernetes` gets it on Linux x86-64")
def test_the_plain_manifests_are_valid() -> None:
    """``kubectl kustomize`` makes the base, each resource of it valid and in its namespace."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    words = [str(KUBECTL), "kustomize", str(ROOT / "deploy/kubernetes/base")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    resources = list(yaml.safe_load_all(done.stdout))
    for one in resources:
        validate.validate(one, "1.37", strict=True)
    assert "Deployment" in kinds(resources)
    assert {one["metadata"].get("namespace") for one in resources if one["kind"] != "Namespace"} == {
        "rapidjws"
    }

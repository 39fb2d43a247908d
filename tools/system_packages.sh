#!/bin/sh
# Make sure the compilers and headers are there: install them by apt where we are root on Debian,
# otherwise name what is missing. Usage: tools/system_packages.sh build|test|gateways|monitoring|load|memcheck|bare|mutants|release|cross ...
# Touches nothing when everything is in place.
set -eu
python=${PYTHON:-python3}
missing=""

want() { # want PACKAGE COMMAND...: note the package when the command fails
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

has_headers() {
    test -f "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"
}

for feature in "$@"; do
    case $feature in
    build)
        want python3 "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'
        want python3-venv "$python" -c 'import ensurepip, venv'
        want python3-dev has_headers
        want gcc gcc --version
        want libc6-dev test -f /usr/include/stdlib.h
        want binutils nm --version
        want pkg-config pkg-config --version
        want libssl-dev pkg-config --exists 'libcrypto >= 3.0'
        ;;
    test)
        want redis-server redis-server --version
        want softhsm2 which softhsm2-util
        want chromium which chromium # the HTML reports are looked at by a real browser
        ;;
    gateways)
        want nginx test -x /usr/sbin/nginx
        want haproxy test -x /usr/sbin/haproxy
        ;;
    monitoring) # rules, dashboards and runbooks are run by the real ones
        want prometheus which prometheus promtool
        want prometheus-alertmanager which prometheus-alertmanager amtool
        want curl which curl
        want redis-tools which redis-cli
        ;;
    load)
        want wrk which wrk
        ;;
    memcheck)
        want valgrind valgrind --version
        # memcheck refuses to start without the symbols of the dynamic loader
        want libc6-dbg test -d /usr/lib/debug/.build-id
        ;;
    cross) # for the aarch64 wheel, on x86_64
        want gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc --version
        want libc6-dev-arm64-cross test -f /usr/aarch64-linux-gnu/include/stdlib.h
        want qemu-user-static qemu-aarch64-static --version
        ;;
    bare)
        want debootstrap debootstrap --version
        ;;
    mutants) # compiles again what did not change in no time
        want ccache ccache --version
        ;;
    release)
        want ca-certificates test -d /etc/ssl/certs
        want dpkg-dev dpkg-deb --version
        ;;
    *)
        echo "system_packages: unknown feature $feature" >&2
        exit 2
        ;;
    esac
done

[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of package names
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "missing, please install (Debian names):$missing" >&2
    exit 1
fi

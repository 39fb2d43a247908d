#!/bin/sh
# Run make targets as somebody would on a bare Debian that has only make and ca-certificates, from an unpacked
# archive without git: a fresh root by debootstrap, a mount namespace of its own, nothing of this machine's tools.
# Usage: tools/bare_machine.sh FOLDER TARGET...    (as root; FOLDER is made anew and kept for a look)
# Only what this machine says about where packages come from is taken along: apt's sources, pip's and npm's settings.
set -eu
cd "$(dirname "$0")/.."
folder=$1
shift
vectors=${RAPIDJWS_VECTORS:-$PWD/../shared/vectors}
cases=${RAPIDJWS_CASES:-$PWD/../shared/cases}
command -v debootstrap >/dev/null || sh tools/system_packages.sh bare
. /etc/os-release
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    awk '$1 == "URIs:" || $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; exit } }')
rm -rf --one-file-system "$folder"
mkdir -p "$folder"
root=$(cd "$folder" && pwd)/root
debootstrap --variant=minbase --include=make,ca-certificates "${VERSION_CODENAME:-bookworm}" "$root" "$mirror" >"$folder/debootstrap.log" 2>&1 || {
    tail -n 5 "$folder/debootstrap.log"
    exit 1
}
cp -a /etc/apt/sources.list* /etc/apt/apt.conf.d "$root/etc/apt/" 2>/dev/null || true
cp -a /usr/share/keyrings/. "$root/usr/share/keyrings/"
# the site's own settings and certificates, where it has some
for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf /etc/resolv.conf /etc/hosts; do
    [ ! -e "$file" ] || cp -L --remove-destination "$file" "$root$file"
done
mkdir -p "$root/srv/rapidjws" "$root/srv/shared/vectors" "$root/srv/shared/cases"
if git rev-parse --git-dir >/dev/null 2>&1; then git archive HEAD; else tar -c --exclude=./build --exclude='./.venv*' .; fi |
    tar -x -C "$root/srv/rapidjws"

# shellcheck disable=SC2016 # expanded inside
RAPIDJWS_BARE_ROOT=$root VECTORS=$vectors CASES=$cases unshare --mount --pid --fork --mount-proc="$root/proc" sh -euc '
    mount --bind /dev "$RAPIDJWS_BARE_ROOT/dev"
    mount --bind /dev/pts "$RAPIDJWS_BARE_ROOT/dev/pts" 2>/dev/null || true # terminals
    mount -t tmpfs tmpfs "$RAPIDJWS_BARE_ROOT/dev/shm" 2>/dev/null || true
    mount -t sysfs -o ro sysfs "$RAPIDJWS_BARE_ROOT/sys" 2>/dev/null || true
    [ ! -d "$VECTORS" ] || mount --bind -o ro "$VECTORS" "$RAPIDJWS_BARE_ROOT/srv/shared/vectors"
    [ ! -d "$CASES" ] || mount --bind -o ro "$CASES" "$RAPIDJWS_BARE_ROOT/srv/shared/cases"
    unset VIRTUAL_ENV PYENV_ROOT PYENV_VERSION PYTHONPATH PYTHONHOME RAPIDJWS_VECTORS RAPIDJWS_CASES
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
    exec chroot "$RAPIDJWS_BARE_ROOT" make -C /srv/rapidjws "$@"
' sh "$@" <&-

#!/bin/sh
# Build the libcrypto that goes into wheels: pinned OpenSSL LTS, static, nothing but what verification needs.
# Usage: tools/build_openssl.sh PREFIX        (runs in cibuildwheel's before-all, and in `make wheels`)
# CC, AR, RANLIB and OPENSSL_TARGET (a Configure target, for cross builds) are honoured; RAPIDJWS_OPENSSL_TARBALL
# names a tarball that is there already. A second run with the same pin and flags does nothing.
set -eu

version=3.5.7
sha256=a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8
url=https://github.com/openssl/openssl/releases/download/openssl-$version/openssl-$version.tar.gz

# no-module: providers are built in, nothing is loaded at run time. no-autoload-config: the host's openssl.cnf
# does not change what a gateway accepts. no-atexit: no clean-up behind the interpreter's back.
shape="no-shared no-module no-dso no-engine no-autoload-config no-atexit no-comp no-tests no-apps no-docs no-ui-console"
# the P-224, P-256 and P-521 arithmetic for 64-bit machines; off by default
speed=enable-ec_nistp_64_gcc_128
# protocols and algorithms that no JWS uses
unused="no-legacy no-tls no-dtls no-quic no-ssl-trace no-cms no-ts no-ocsp no-ct no-cmp no-srp no-psk no-sock no-http
no-aria no-bf no-camellia no-cast no-idea no-md4 no-mdc2 no-rc2 no-rc4 no-rc5 no-rmd160 no-seed no-siphash no-sm2
no-sm3 no-sm4 no-whirlpool no-gost no-ec2m no-slh-dsa no-ml-kem no-scrypt no-argon2"

prefix=${1:?usage: build_openssl.sh PREFIX}
mkdir -p "$prefix"
prefix=$(cd "$prefix" && pwd)
compiler=${CC:-cc}
pin="$version $sha256 $shape $speed $unused ${compiler##*/} ${OPENSSL_TARGET:-} 1"
stamp=$prefix/rapidjws-openssl.stamp
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$pin" ]; then
    echo "OpenSSL $version is in $prefix"
    exit 0
fi

case $(uname -s) in
MINGW* | MSYS* | CYGWIN*) system=windows ;;
*) system=unix ;;
esac
if command -v dnf >/dev/null 2>&1; then # the manylinux image lacks Perl's modules
    dnf install -y -q perl-core
elif command -v apk >/dev/null 2>&1; then # the musllinux image
    apk add -q perl linux-headers
fi

build=$prefix/build
rm -rf "$build"
mkdir -p "$build"
tarball=${RAPIDJWS_OPENSSL_TARBALL:-}
if [ -z "$tarball" ]; then
    tarball=$build/openssl.tar.gz
    curl --fail --silent --show-error --location --retry 3 --output "$tarball" "$url"
fi
if command -v sha256sum >/dev/null; then
    found=$(sha256sum "$tarball")
else
    found=$(shasum -a 256 "$tarball")
fi
if [ "${found%% *}" != "$sha256" ]; then
    echo "OpenSSL $version: the tarball's SHA-256 is ${found%% *}, expected $sha256" >&2
    exit 1
fi
tar -xzf "$tarball" -C "$build"
cd "$build/openssl-$version"

# shellcheck disable=SC2086 # lists of flags
if [ $system = windows ]; then
    perl Configure "${OPENSSL_TARGET:-VC-WIN64A}" $shape $unused --prefix="$prefix" --openssldir="$prefix/ssl"
    nmake build_generated libcrypto.lib
    library=libcrypto.lib
else
    perl Configure ${OPENSSL_TARGET:-} $shape $speed $unused --prefix="$prefix" --libdir=lib \
        --openssldir=/etc/ssl -fPIC -fvisibility=hidden
    make -s build_generated
    make -s -j"$(getconf _NPROCESSORS_ONLN)" libcrypto.a
    library=libcrypto.a
fi
rm -rf "$prefix/include" "$prefix/lib"
mkdir -p "$prefix/lib"
cp -R include "$prefix/include"
rm -rf "$prefix/include/crypto" "$prefix/include/internal"
cp "$library" LICENSE.txt "$prefix/lib/"
cd "$prefix"
rm -rf "$build"
printf '%s' "$pin" >"$stamp"
echo "OpenSSL $version built in $prefix"

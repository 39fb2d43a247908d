#!/bin/sh
# Build the contract partners of the tests that are not Python: Node's jose and golang-jwt, into build/partners.
# A toolchain that is missing is said in one line, and its partner is left out: the tests skip it.
cd "$(dirname "$0")/.." || exit 2
out=$PWD/build/partners
mkdir -p "$out"
if command -v npm >/dev/null; then
    mkdir -p "$out/node" && cp tests/partners/node/* "$out/node/" &&
        (cd "$out/node" && npm install --silent --no-fund --no-audit) || echo "partners: npm install failed"
else
    echo "partners: no npm, Node's jose is left out"
fi
if command -v go >/dev/null; then
    mkdir -p "$out/go" && cp tests/partners/go/* "$out/go/" &&
        (cd "$out/go" && go mod tidy && go build -o partner .) || echo "partners: go build failed"
    mkdir -p "$out/tlog" && cp tests/partners/tlog/* "$out/tlog/" &&
        (cd "$out/tlog" && go mod tidy && go build -o reader .) || echo "partners: go build of tlog failed"
else
    echo "partners: no go, golang-jwt and Go's tlog are left out"
fi

#!/bin/sh
# Build h2spec from the Go module proxy, into build/h2spec, for the test of our HTTP/2. Where there is no go this
# is said in one line, and that test is left out.
cd "$(dirname "$0")/.." || exit 2
out=$PWD/build/h2spec
version=v2.2.1+incompatible
test -x "$out/h2spec" && test -e "$out/$version" && exit 0
if command -v go >/dev/null; then
    mkdir -p "$out" && rm -f "$out"/v* &&
        CGO_ENABLED=0 GOBIN="$out" timeout 600 go install "github.com/summerwind/h2spec/cmd/h2spec@$version" \
            >"$out/build.log" 2>&1 && touch "$out/$version" ||
        echo "h2spec: go install failed, see $out/build.log; its test is left out"
else
    echo "h2spec: no go, its test is left out"
fi
exit 0

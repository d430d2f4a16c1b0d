#!/usr/bin/env bash
# Builds the servers of the test lanes from tools/go.mod and prints where each is: `scripts/tools.sh versitygw mailpit`.
# Binaries are kept outside the clone by the sums of their sources, so that the next clone has them at once.
# What cannot be built is said in one line, exit 3. TOOLS_APT=0 does not install Go where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
export HOME=${HOME:-$(cd ~ && pwd)}
key=$(cat tools/go.mod tools/go.sum | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-"$HOME/.cache"}/morpheus/tools/$key

declare -A package=(
    [versitygw]=github.com/versity/versitygw/cmd/versitygw
    [mailpit]=github.com/axllent/mailpit
)

missing() {
    echo "tools: $1" >&2
    exit 3
}

find_go() { # prints the first Go that is new enough; else says what there is
    local candidate found=none
    for candidate in "$(command -v go || true)" /usr/local/go/bin/go "$HOME/go/bin/go" /usr/lib/go/bin/go; do
        [ -n "$candidate" ] && [ -x "$candidate" ] || continue
        # From 1.21 on it fetches the one that go.mod asks for, unless it was told not to.
        (cd tools && "$candidate" list -m >/dev/null 2>&1) && { echo "$candidate"; return; }
        found=$("$candidate" env GOVERSION 2>/dev/null || echo "$candidate")
    done
    echo "$found"
    return 1
}

wanted=()
for name in "$@"; do
    [ -n "${package[$name]:-}" ] || missing "there is no server $name"
    [ -x "$cache/$name" ] || wanted+=("$name")
done

if [ ${#wanted[@]} -gt 0 ]; then
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    if ! go=$(find_go); then
        [ "${TOOLS_APT:-1}" != 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null &&
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends golang-go; } >/dev/null 2>&1 || true
        version=$(sed -n 's/^go //p' tools/go.mod)
        go=$(find_go) || missing "install Go $version or newer (go.dev/dl) to build ${wanted[*]}; found: $go"
    fi
    for name in "${wanted[@]}"; do
        [ -x "$cache/$name" ] && continue # another built it meanwhile
        echo "tools: building $name" >&2
        # Reproducible from go.sum alone; C is not needed.
        (cd tools && CGO_ENABLED=0 GOFLAGS=-mod=readonly "$go" build -trimpath -buildvcs=false -ldflags '-s -w' \
            -o "$cache/.$name" "${package[$name]}") >&2 || missing "building $name failed"
        mv "$cache/.$name" "$cache/$name"
    done
fi

for name in "$@"; do
    echo "$cache/$name"
done

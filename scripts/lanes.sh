#!/usr/bin/env bash
# Runs the test lanes of a target (`test` or `test-all`) and says of each whether it ran.
# A server that cannot be had skips its lane on a laptop and fails where CI=true.
set -uo pipefail
cd "$(dirname "$0")/.."
target=${1:-test}
base=(unit contract integration e2e)
with_servers=(s3 smtp elasticsearch)
long=(chaos)
others=(browser kubernetes)
declare -A server=(
    [s3]="scripts/tools.sh versitygw"
    [smtp]="scripts/tools.sh mailpit"
    [elasticsearch]="scripts/elasticsearch/fetch.sh"
) said=()
status=0

run() { # lanes...: in one pytest
    local lane lanes=()
    for lane in "$@"; do
        said[$lane]="no tests yet"
        [ -n "$(find "tests/$lane" -name 'test_*.py' -print -quit 2>/dev/null)" ] && lanes+=("$lane")
    done
    [ ${#lanes[@]} -gt 0 ] || return 0
    # Two files at a time: most of a test is waiting for processes to start.
    if .venv/bin/python -m pytest -n 2 --dist loadfile "${lanes[@]/#/tests/}"; then
        for lane in "${lanes[@]}"; do said[$lane]=ran; done
    else
        status=1
        for lane in "${lanes[@]}"; do said[$lane]="ran, with failures in this or a lane beside it"; done
    fi
}

run_with_servers() { # lanes...: those whose servers are there
    local lane reason lanes=()
    for lane in "$@"; do
        if reason=$(${server[$lane]} 2>&1 >/dev/null); then
            lanes+=("$lane")
            continue
        fi
        said[$lane]="skipped: ${reason##*$'\n'}"
        case ${CI:-} in true | 1) status=1 said[$lane]="FAILED: ${reason##*$'\n'}" ;; esac
    done
    [ ${#lanes[@]} -eq 0 ] || run "${lanes[@]}"
}

start_node() { # one Elasticsearch for the whole lane; without it, the lane itself says what is wrong
    local port
    port=$(.venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    node=$(mktemp -d)
    trap 'scripts/elasticsearch/stop.sh "$node"; rm -rf "$node"' EXIT
    scripts/elasticsearch/start.sh "$port" "$node" && export ELASTICSEARCH_TEST_URL="http://127.0.0.1:$port"
}

run "${base[@]}"
if [ "$target" = test-all ]; then
    start_node
    run_with_servers "${with_servers[@]}"
    run "${long[@]}"
else
    others=("${with_servers[@]}" "${long[@]}" "${others[@]}")
fi

echo
for lane in "${base[@]}" "${with_servers[@]}" "${long[@]}"; do
    [ -z "${said[$lane]:-}" ] || echo "$lane: ${said[$lane]}"
done
for lane in "${others[@]}"; do
    echo "$lane: not part of this target"
done
exit $status

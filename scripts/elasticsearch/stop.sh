#!/usr/bin/env bash
# Stops the node that `start.sh PORT FOLDER` started: `stop.sh FOLDER`. Nothing to stop is fine.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
[ -f "$1/pid" ] || exit 0
pid=$(cat "$1/pid")
kill "$pid" 2>/dev/null || true
for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || { rm -f "$1/pid"; exit 0; }
    sleep 0.3
done
kill -9 -- "-$pid" 2>/dev/null || true
rm -f "$1/pid"

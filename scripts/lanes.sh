#!/usr/bin/env bash
# Runs the test lanes of this target and says of each whether it ran.
set -uo pipefail
cd "$(dirname "$0")/.."
ran=()
for lane in unit contract integration e2e; do
    [ -n "$(find "tests/$lane" -name 'test_*.py' -print -quit 2>/dev/null)" ] && ran+=("$lane")
done
.venv/bin/python -m pytest "${ran[@]/#/tests/}"
status=$?
echo
for lane in unit contract integration e2e; do
    if [[ " ${ran[*]} " == *" $lane "* ]]; then echo "$lane: ran"; else echo "$lane: no tests yet"; fi
done
for lane in elasticsearch s3 browser chaos kubernetes; do
    echo "$lane: not part of this target"
done
exit $status

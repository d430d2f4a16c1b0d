#!/usr/bin/env bash
# Prints the folder of a JDK of 21 or newer: ES_JAVA_HOME, JAVA_HOME, the one on the path, or one beside it. Exit 1: none.
set -euo pipefail
fits() { # a JRE will not do: the server needs the module jdk.attach
    [ -x "$1/bin/java" ] && "$1/bin/java" --list-modules 2>/dev/null | grep '^jdk.attach@\(2[1-9]\|[3-9][0-9]\)' >/dev/null
}
found=$(readlink -f "$(command -v java || true)" 2>/dev/null || true)
found=${found%/bin/java}
for folder in "${ES_JAVA_HOME:-}" "${JAVA_HOME:-}" "$found" ${found:+"$(dirname "$found")"/*} /usr/lib/jvm/*; do
    if [ -n "$folder" ] && fits "$folder"; then
        echo "$folder"
        exit 0
    fi
done
exit 1

#!/usr/bin/env bash
# Pins every requirements file with hashes: one per service, one for the local stack, one for development.
set -euo pipefail
cd "$(dirname "$0")/.."
for extra in intake renderer dispatcher tracker gateway local fakes dev; do
    .venv/bin/uv pip compile pyproject.toml --extra "$extra" --universal --python-version 3.11 \
        --generate-hashes --custom-compile-command "make lock" --no-config --quiet "$@" \
        --output-file "requirements/$extra.txt"
done

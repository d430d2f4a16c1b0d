"""`make bench`: runs the scenarios on this machine and writes one JSON file with all figures.

    python -m benchmarks.run [--only NAME]… [--output FILE]

Progress goes to the standard error, the JSON to the standard output and to `--output`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.scenarios import end_to_end, floor, pdf, provider, records, render, template_cache, webhooks

SCENARIOS: dict[str, Callable[[], dict[str, Any]]] = {
    "floor": floor.measure,
    "render": render.measure,
    "template_cache": template_cache.measure,
    "pdf": pdf.measure,
    "end_to_end": end_to_end.measure,
    "provider": provider.measure,
    "webhooks": webhooks.measure,
    "memory": end_to_end.measure_memory,
    "records": records.measure,
}


def main(argv: list[str]) -> int:
    """Runs what was asked for. The exit code is 0 when every scenario ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run")
    parser.add_argument("--only", action="append", choices=sorted(SCENARIOS), help="run just these")
    parser.add_argument("--output", type=Path, help="also write the JSON here")
    arguments = parser.parse_args(argv)
    figures: dict[str, Any] = {"machine": machine(), "commit": commit(), "time": now()}
    for name in arguments.only or SCENARIOS:
        sys.stderr.write(f"{name} … ")
        sys.stderr.flush()
        started = time.monotonic()
        figures[name] = SCENARIOS[name]()
        sys.stderr.write(f"{time.monotonic() - started:.0f} s\n")
    if "floor" in figures and "end_to_end" in figures:
        whole, bare = (figures[name]["cpu_ms_per_message"] for name in ("end_to_end", "floor"))
        figures["cpu_ratio_to_floor"] = round(whole / bare, 2)
    text = json.dumps(figures, indent=2)
    sys.stdout.write(text + "\n")
    if arguments.output:
        arguments.output.write_text(text + "\n")
    return 0


def machine() -> dict[str, Any]:
    """What a figure depends on."""
    return {
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
    }


def commit() -> str:
    """The checkout's commit, with `+` when files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty=+"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"


def now() -> str:
    """RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

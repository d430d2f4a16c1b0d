"""Generates gen/ from protos/: messages, gRPC stubs and types. `--check` only compares."""

import argparse
import filecmp
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import grpc_tools
from google.rpc import status_pb2

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GEN = ROOT / "gen"


def generate(out: Path) -> None:
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    scripts = Path(sysconfig.get_path("scripts"))
    google = Path(status_pb2.__file__).parents[2]
    bundled = Path(grpc_tools.__file__).parent / "_proto"
    command = [
        *(sys.executable, "-m", "grpc_tools.protoc"),
        *(f"-I{path}" for path in (PROTOS, google, bundled)),
        *(f"--plugin=protoc-gen-{name}={scripts / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")),
        *(f"--{kind}={out}" for kind in ("python_out", "grpc_python_out", "mypy_out", "mypy_grpc_out")),
    ]
    done = subprocess.run([*command, *sources], check=False, cwd=PROTOS, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def tree(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in root.rglob("*") if path.suffix in {".py", ".pyi"}}


def differences(fresh: Path) -> list[str]:
    names = tree(fresh) | tree(GEN)
    return sorted(
        str(name)
        for name in names
        if not ((fresh / name).exists() and (GEN / name).exists())
        or not filecmp.cmp(fresh / name, GEN / name, shallow=False)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when gen/ is not what protos/ gives")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        stale = differences(fresh)
        if check:
            for name in stale:
                print(f"gen/{name} is stale: run make gen", file=sys.stderr)
            return 1 if stale else 0
        for name in stale:
            target = GEN / name
            if (fresh / name).exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(fresh / name, target)
            else:
                target.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m local`: the whole of Morpheus on this machine."""

import argparse
import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from local import demo, screen, stack
from local.supervisor import Say, StartError, Supervisor

CONFIG_ERROR = 2


def parse(arguments: list[str], environ: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("--home", type=Path, help="folder of keys, templates, records and outbox (MORPHEUS_HOME)")
    parser.add_argument("--port", type=int, help="the gateway's port (MORPHEUS_PORT, 8000)")
    parser.add_argument("--check", action="store_true", help="validate the configuration of all services and exit")
    parser.add_argument("--demo", action="store_true", help="post a sample group in a fresh home, on a free port")
    options = parser.parse_args(arguments)
    if options.port is None and (options.check or not options.demo):
        text = environ.get("MORPHEUS_PORT", str(stack.FIRST_PORT))
        if not text.isdigit():
            parser.error(f"MORPHEUS_PORT: not a number: {text}")
        options.port = int(text)
    if options.port is not None and not 0 < options.port < 65536:
        parser.error(f"port {options.port} is not between 1 and 65535")
    options.home = (options.home or default_home(environ, demo=options.demo)).absolute()
    return options


def default_home(environ: Mapping[str, str], *, demo: bool) -> Path:
    return Path(".morpheus-demo" if demo else environ.get("MORPHEUS_HOME") or ".morpheus")


@contextlib.contextmanager
def locked(home: Path) -> Iterator[bool]:
    """Whether this process has the home for itself; the system frees it when the process ends, however it ends."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


async def supervise(home: Path, port: int, say: Say, when_ready: Callable[[Supervisor], demo.WhenReady]) -> int:
    """Runs the stack until a signal; 0 when it was stopped by one, 1 when it could not start."""
    env = stack.prepare(home, port, os.environ)
    supervisor = Supervisor(stack.programs(home, port, env, os.environ), env, say)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, supervisor.stop_requested.set)
    failures: list[BaseException] = []
    try:
        await supervisor.run(when_ready(supervisor))
    except* StartError as group:
        failures.extend(group.exceptions)
    for failure in failures:
        print(f"local: {failure}", file=sys.stderr)
    return 1 if failures else 0


def check(home: Path, port: int) -> int:
    """Asks every service whether it could start with this environment; starts and changes nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        env = stack.prepare(home if home.exists() else Path(scratch), port, os.environ)
        results = {
            name: subprocess.run([*stack.module_command(name), "--check-config"], env=env, check=False).returncode
            for name in (*stack.SERVICES, "gateway")
        }
    for name, code in results.items():
        print(f"{name}: {'ok' if code == 0 else 'refused'}")
    return 1 if any(results.values()) else 0


def run_stack(home: Path, port: int) -> int:
    if not stack.port_is_free(port):
        print(f"local: {stack.PortTakenError(port)}", file=sys.stderr)
        return CONFIG_ERROR
    say = screen.printer(os.environ)

    def when_ready(_: Supervisor) -> demo.WhenReady:
        async def announce() -> None:
            say("local", f"ready: http://127.0.0.1:{port} (home {home}, keys for clients in client.toml)")

        return announce

    return asyncio.run(supervise(home, port, say, when_ready))


def run_demo(home: Path, port: int | None) -> int:
    """In an emptied home; the services' lines go to a file, for the screen belongs to the demonstration."""
    for entry in home.iterdir():
        if entry.name != "lock":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    chosen = port or stack.next_free_port()
    if not stack.port_is_free(chosen):
        print(f"local: {stack.PortTakenError(chosen)}", file=sys.stderr)
        return CONFIG_ERROR
    show = demo.Demo(home, chosen, os.environ)
    code = asyncio.run(supervise(home, chosen, screen.to_file(home / "stack.log"), show.on))
    if code or show.failed:
        print(f"local: the services' lines are in {home / 'stack.log'}", file=sys.stderr)
    return code or int(show.failed)


def main() -> int:
    options = parse(sys.argv[1:], os.environ)
    if options.check:
        return check(options.home, options.port)
    with locked(options.home) as mine:
        if not mine:
            print(f"local: another stack runs in {options.home}; set MORPHEUS_HOME (or --home)", file=sys.stderr)
            return CONFIG_ERROR
        return run_demo(options.home, options.port) if options.demo else run_stack(options.home, options.port)


if __name__ == "__main__":
    sys.exit(main())

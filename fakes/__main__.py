"""`python -m fakes`: every fake in one process, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack
from typing import Any

from fakes.base import HttpFake
from fakes.bird import Bird
from fakes.mandrill import Mandrill
from fakes.ses import Ses
from fakes.smtp import Smtp
from fakes.twilio import Twilio

FAKES: dict[str, type[HttpFake]] = {"mandrill": Mandrill, "ses": Ses, "twilio": Twilio, "bird": Bird}
"""In the order of their ports; SMTP and its API come behind."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fakes", description="Stand-ins for the providers of Morpheus.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--name", default="", help="host name in the printed URLs and in SNS posts (as --host)")
    parser.add_argument("--port-base", type=int, default=8400, help="first port; 0 takes free ones (8400)")
    parser.add_argument("--only", default="mandrill,ses,twilio,bird,smtp", help="the fakes to start, with commas")
    parser.add_argument(
        "--webhooks", default="", metavar="URL", help="post to URL/webhooks/NAME; nowhere when left out"
    )
    parser.add_argument("--keep", type=int, default=100_000, help="messages and calls kept for each fake (100000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    options = parser.parse_args(arguments)
    unknown = set(options.only.split(",")) - {*FAKES, "smtp"}
    if unknown:
        parser.error(f"no such fake: {', '.join(sorted(unknown))}")
    return options


def environment(fake: HttpFake | Smtp) -> dict[str, str]:
    """The settings with which Morpheus sends through a fake, and takes its webhooks."""
    if isinstance(fake, Mandrill):
        return {
            "MORPHEUS_MANDRILL_URL": fake.url,
            "MORPHEUS_MANDRILL_KEY": fake.key or "any",
            "MORPHEUS_MANDRILL_WEBHOOK_KEYS": fake.webhook_key,
        }
    if isinstance(fake, Ses):
        return {
            "MORPHEUS_SES_ENDPOINT_URL": fake.url,
            "MORPHEUS_SES_CONFIGURATION_SET": "any",
            "MORPHEUS_SES_TOPIC_ARNS": fake.topic.arn,
            "MORPHEUS_SNS_CERT_HOSTS": fake.url.removeprefix("http://"),
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        }
    if isinstance(fake, Twilio):
        return {
            "MORPHEUS_TWILIO_URL": fake.url,
            "MORPHEUS_TWILIO_ACCOUNT_SID": fake.account_sid,
            "MORPHEUS_TWILIO_AUTH_TOKEN": fake.auth_token,
        }
    if isinstance(fake, Bird):
        return {
            "MORPHEUS_BIRD_URL": fake.url,
            "MORPHEUS_BIRD_KEY": fake.key or "any",
            "MORPHEUS_BIRD_WEBHOOK_SECRET": fake.webhook_secret,
        }
    return {"MORPHEUS_SMTP_URL": fake.url}


def signing(fake: HttpFake | Smtp) -> dict[str, str]:
    """What another receiver of webhooks has to know to check them."""
    if isinstance(fake, Mandrill):
        return {"key": fake.webhook_key}
    if isinstance(fake, Ses):
        return {"topic_arn": fake.topic.arn, "certificate": fake.url + fake.topic.certificate_path}
    if isinstance(fake, Twilio):
        return {"key": fake.auth_token}
    return {"secret": fake.webhook_secret} if isinstance(fake, Bird) else {}


def describe(fake: HttpFake | Smtp) -> dict[str, Any]:
    """Where a fake and its API are."""
    api = fake.control_url if isinstance(fake, Smtp) else fake.url
    return {
        "url": fake.url,
        "api": f"{api}/_fake/",
        "webhooks": fake.webhook_url,
        "environment": environment(fake),
        "signing": signing(fake),
    }


def table(fakes: list[HttpFake | Smtp]) -> str:
    """What a person wants to see."""
    lines = [f"{'fake':<10}{'listens on':<40}{'API'}"]
    lines += [f"{fake.name:<10}{fake.url:<40}{describe(fake)['api']}" for fake in fakes]
    lines += ["", "settings for Morpheus:"]
    lines += [f"  {name}={value}" for fake in fakes for name, value in environment(fake).items()]
    lines += ["", "what signs the webhooks:"]
    lines += [f"  {fake.name} {name}: {value}" for fake in fakes for name, value in signing(fake).items()]
    return "\n".join(lines)


async def serve(options: argparse.Namespace) -> None:
    """Start what was asked for, say where it is, wait for a signal, stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    wanted, base = options.only.split(","), options.port_base
    everywhere = options.host in {"0.0.0.0", "::"}  # noqa: S104 -- compared, not listened on
    name_of_host = options.name or ("127.0.0.1" if everywhere else options.host)
    shared = {"keep": options.keep, "name_of_host": name_of_host}
    started: list[HttpFake | Smtp] = []
    async with AsyncExitStack() as stack:
        for offset, (name, kind) in enumerate(FAKES.items()):
            if name in wanted:
                webhook_url = f"{options.webhooks.rstrip('/')}/webhooks/{name}" if options.webhooks else ""
                fake = kind(webhook_url=webhook_url, **shared)
                stack.push_async_callback(fake.stop)
                await fake.start(base + offset if base else 0, options.host)
                started.append(fake)
        if "smtp" in wanted:
            relay = Smtp(**shared)
            stack.push_async_callback(relay.stop)
            port, control_port = (base + len(FAKES), base + len(FAKES) + 1) if base else (0, 0)
            await relay.start(port, control_port, options.host)
            started.append(relay)
        told = {fake.name: describe(fake) for fake in started}
        print(json.dumps(told) if options.json else table(started), flush=True)
        await stop.wait()


def main(arguments: list[str]) -> int:
    """Exit status 1 when a port is taken."""
    try:
        asyncio.run(serve(parse(arguments)))
    except OSError as error:
        print(f"fakes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

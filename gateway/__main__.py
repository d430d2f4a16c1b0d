"""`python -m gateway`."""

import sys

from gateway.app import build
from gateway.config import Config
from morpheus_kit.lifecycle import run

raise SystemExit(run(Config, build, sys.argv[1:]))

"""Starts the dispatcher."""

import sys

from morpheus_kit.lifecycle import run
from services.dispatcher.app import build
from services.dispatcher.config import Config

raise SystemExit(run(Config, build, sys.argv[1:]))

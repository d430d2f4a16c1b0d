"""Starts the tracker."""

import sys

from morpheus_kit.lifecycle import run
from services.tracker.app import build
from services.tracker.config import Config

raise SystemExit(run(Config, build, sys.argv[1:]))

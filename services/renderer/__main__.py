"""Starts the renderer."""

import sys

from morpheus_kit.lifecycle import run
from services.renderer.app import build
from services.renderer.config import Config

raise SystemExit(run(Config, build, sys.argv[1:]))

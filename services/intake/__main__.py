"""`python -m services.intake`."""

import sys

from morpheus_kit.lifecycle import run
from services.intake.app import build
from services.intake.config import Config

raise SystemExit(run(Config, build, sys.argv[1:]))

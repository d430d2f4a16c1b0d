"""Renders subjects, bodies, PDFs and attachments."""

import os

# The front starts workers while gRPC's threads run; they are spawned, so gRPC has nothing to repair.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

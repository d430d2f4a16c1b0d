"""What workers get from the front."""

from __future__ import annotations

from services.renderer.pool import ALLOCATOR, worker_environment


def test_workers_see_no_credentials_and_no_settings() -> None:
    own = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "p", "MORPHEUS_S3_BUCKETS": "b", "HOME": "/h"}
    assert worker_environment(own) == {"PATH": "/bin", "HOME": "/h", **ALLOCATOR}

"""Fixtures for the few tests that need a Prefect server, and a clean environment for all."""

import os

import pytest

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
for name in ("NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY", "PREFECT_API_URL"):
    os.environ.pop(name, None)


@pytest.fixture(scope="session")
def prefect_server():
    """A Prefect server on a fresh database for the whole session; flows do not wait for their heartbeat thread."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=180),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield

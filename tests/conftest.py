"""Fixtures for the few tests that need a Prefect server, and a clean environment for all."""

import atexit
import faulthandler
import os
import shutil
import sys
import tempfile

import pytest

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
for name in ("NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY", "PREFECT_API_URL"):
    os.environ.pop(name, None)

# Locks of senders lie where programs keep the state of a user: not in that of whoever runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="eraflow-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

LONGEST_RUN_S = 4_200  # three times what all tests need on two cores; CI ends after 5,400


def pytest_configure():
    """A test run that hangs outside any test's own time limit says where, and ends as a failure."""
    faulthandler.dump_traceback_later(LONGEST_RUN_S, exit=True, file=os.fdopen(os.dup(sys.__stderr__.fileno()), "w"))


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    """A failure is told at once: a run that is cut off must not keep it to itself."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(
            f"\n{report.nodeid} ({report.when}) failed\n{report.longreprtext[-3_000:]}", file=sys.__stderr__, flush=True
        )


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

"""One server with the deployments for all tests in this folder, and a worker for each file."""

import pytest

from tests.deployments.serverworker import server, worker


@pytest.fixture(scope="session")
def deployed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("road")
    with server(folder) as running:
        running.prefect("deploy", "--all")
        # They are made paused; test_golive.py tells how a person switches them on.
        for name in ("weekly", "daily", "insurance"):
            running.patch(f"/deployments/{running.deployment_id(name)}", {"paused": False})
        yield running, folder


@pytest.fixture(scope="module")
def road(deployed):
    running, folder = deployed
    with worker(running, folder):
        yield running, folder

"""A real Prefect server and worker as processes of their own, on a fresh home."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent.parent
SAVE_BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock
CustomWebhookNotificationBlock(
    name="alert", url=sys.argv[1], method="POST", json_data={"text": "{{subject}} | {{body}}"}
).save("alert", overwrite=True)
"""
PREFECT = [sys.executable, "-m", "prefect", "--no-prompt"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answered(request, attempts=8):
    """The body of the answer. While its SQLite file is locked a server answers 503, and clients ask again.

    What only reads is asked again as well where a busy machine lets a server be silent for half a minute.
    """
    for attempt in range(attempts):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code != 503 or attempt == attempts - 1:
                raise
        except TimeoutError:
            if not only_reads(request) or attempt == attempts - 1:
                raise
        time.sleep(0.5 * (attempt + 1))
    return b""


def only_reads(request):
    """Whether asking twice changes nothing: a plain address, or one of the server's filters."""
    return isinstance(request, str) or request.full_url.endswith("/filter")


class Server:
    """Commands and requests against one running server."""

    def __init__(self, port, home):
        self.api = f"http://127.0.0.1:{port}/api"
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_UI_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "DO_NOT_TRACK": "1",
        }

    def prefect(self, *arguments, timeout=120):
        done = subprocess.run(
            [*PREFECT, *arguments],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def post(self, path, body=None):
        request = urllib.request.Request(
            f"{self.api}{path}", json.dumps(body or {}).encode(), {"content-type": "application/json"}
        )
        return json.loads(answered(request))

    def patch(self, path, body):
        request = urllib.request.Request(
            f"{self.api}{path}", json.dumps(body).encode(), {"content-type": "application/json"}, method="PATCH"
        )
        answered(request)

    def get(self, path):
        return json.loads(answered(f"{self.api}{path}"))

    def deployment_id(self, name):
        return next(entry["id"] for entry in self.post("/deployments/filter") if entry["name"] == name)

    def start_run(self, settings, deployment="sandbox"):
        """Schedule a run of a deployment for now; its id."""
        body = {"parameters": {"settings": settings}, "state": {"type": "SCHEDULED"}}
        return self.post(f"/deployments/{self.deployment_id(deployment)}/create_flow_run", body)["id"]

    def states(self, run_id):
        """The names of all states that a run has had, in order."""
        return [state["name"] for state in self.get(f"/flow_run_states/?flow_run_id={run_id}")]

    def eraflow(self, *arguments, timeout=120):
        """The command, with this server named; the finished process."""
        return subprocess.run(
            [sys.executable, "-m", "flows.command.entry", *map(str, arguments)],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def wait_for_run(self, run_id, wanted, seconds):
        """The run's state once its type is one of `wanted`."""
        deadline = time.monotonic() + seconds
        while True:
            state = self.get(f"/flow_runs/{run_id}")["state"]
            if state["type"] in wanted:
                return state
            assert time.monotonic() < deadline, f"still {state['name']} after {seconds} s"
            time.sleep(0.5)


def flow_processes(run_id):
    """The processes that work for a flow run: the flow's own first, then those it started."""
    found = []
    for one in psutil.process_iter():
        try:
            if one.environ().get("PREFECT__FLOW_RUN_ID") == run_id:
                found.append(one)
        except psutil.Error:  # gone meanwhile
            continue
    return sorted(found, key=lambda one: one.create_time())


def wait_for_stage(run_id, seconds):
    """The processes of a flow run once one of its stages is at work."""
    deadline = time.monotonic() + seconds
    while True:
        found = flow_processes(run_id)
        if any("eraflow.machine.child" in " ".join(one.cmdline()) for one in found if one.is_running()):
            return found
        assert time.monotonic() < deadline, f"no stage of {run_id} began within {seconds} s"
        time.sleep(0.1)


@contextmanager
def process(command, env, log):
    """A process in a session of its own, ended with everything it started."""
    with log.open("wb") as out:
        child = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield child
    finally:
        for number in (signal.SIGINT, signal.SIGKILL):
            if child.poll() is None:
                os.killpg(child.pid, number)
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    continue
        child.wait(10)


@contextmanager
def server(folder):
    """A server with the pool `eraflow`."""
    port = free_port()
    home = folder / "prefect"
    home.mkdir(parents=True)
    running = Server(port, home)
    command = [*PREFECT, "server", "start", "--port", str(port)]
    with process(command, running.env, folder / "server.log"):
        deadline = time.monotonic() + 120
        while True:
            try:
                running.get("/health")
                break
            except OSError:
                assert time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.5)
        running.prefect("work-pool", "create", "eraflow", "--type", "process")
        yield running


@contextmanager
def worker(running, folder):
    """A worker on the pool."""
    command = [*PREFECT, "worker", "start", "--pool", "eraflow", "--name", "tested"]
    with process(command, running.env, folder / "worker.log") as child:
        yield child

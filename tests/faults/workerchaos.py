"""The part of the chaos suite with a Prefect server and a worker: `worker`, the flow under it, or both are killed.

After `worker` nothing is lost: the flow process goes on, a new worker takes the next runs. After `flow@worker` the
worker reports the crash and `eraflow resume` reschedules the same flow run. After `reboot` (both) the automation that
`eraflow resume --install` made finds that the run no longer beats, and the rest is as before.
"""

import shutil
import time
from contextlib import ExitStack

from eraflow.settings.override import settings_from
from tests.deployments.serverworker import flow_processes, server, worker
from tests.faults.chaos import WEEK, Chaos, Told, check_run, demand, no_orphans_of, run_dir_of, where_now, work_lost

VICTIMS = ("worker", "flow@worker", "reboot")
REPORTED_TWICE = 12.0  # runner and worker both report a crash; the second report comes seconds after the first
ZOMBIE_SECONDS = 240.0


class WorkerChaos:
    """A server for all moments; a worker, and a home, for each."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self.stack = ExitStack()
        folder = chaos.folder / "server"
        folder.mkdir()
        self.folder = folder
        self.server = self.stack.enter_context(server(folder))
        self.server.prefect("deploy", "--all")
        done = self.server.eraflow("resume", "--install", "--home", folder)
        demand(done.returncode == 0, done.stderr)

    def close(self) -> None:
        self.stack.close()

    def kill(self, name: str, victim: str, moment: float) -> Told:
        home = self.chaos.fresh(name)
        week = [f"{key}={value}" for key, value in WEEK.items()]
        settings = settings_from("sandbox", {"home": str(home)}, week).model_dump(mode="json")
        began = time.monotonic()
        with ExitStack() as stack:
            first = stack.enter_context(worker(self.server, self.folder))
            run_id = self.server.start_run(settings)
            self._until_begun(run_id)
            time.sleep(moment)
            run_dir = run_dir_of(home)
            where, lost, at = where_now(run_dir), work_lost(run_dir, time.time()), time.monotonic() - began
            processes = flow_processes(run_id)
            flow = next((one for one in processes if one.is_running()), None)
            if victim in ("worker", "reboot"):
                first.kill()
            if victim in ("flow@worker", "reboot") and flow is not None:
                flow.kill()
            if victim == "reboot":
                first.wait(10)
            if victim != "flow@worker":
                stack.enter_context(worker(self.server, self.folder))
            self._see_it_through(run_id, home, victim)
            where = "" if where is None else where
        lost = 0.0 if victim == "worker" else lost
        folder = run_dir_of(home)
        demand(folder is not None, "no run folder")
        check_run(folder, self.chaos.sha256)
        no_orphans_of(lambda: {one.pid: one.name() for one in flow_processes(run_id) if one.is_running()})
        names = self.server.states(run_id)
        demand(names.count("Running") <= 2, f"it ran more than twice: {names}")
        shutil.rmtree(self.chaos.folder / name)
        return Told(at, victim, where, lost, time.monotonic() - began)

    def _until_begun(self, run_id: str) -> None:
        deadline = time.monotonic() + 120
        while not flow_processes(run_id):
            demand(time.monotonic() < deadline, "the worker did not take the run")
            time.sleep(0.1)

    def _see_it_through(self, run_id: str, home: object, victim: str) -> None:
        patience = ZOMBIE_SECONDS if victim == "reboot" else 120.0
        state = self.server.wait_for_run(run_id, {"CRASHED", "COMPLETED", "FAILED"}, patience)
        if state["type"] == "CRASHED":
            time.sleep(REPORTED_TWICE)
            done = self.server.eraflow("resume", "--home", home, "--after", "5", "--json")
            demand(done.returncode == 0, done.stderr)
            state = self.server.wait_for_run(run_id, {"CRASHED", "COMPLETED", "FAILED"}, 300)
        demand(state["type"] == "COMPLETED", f"{state['name']}: {state.get('message')}")

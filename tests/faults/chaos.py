"""The chaos suite: kill something at a random moment of a week, resume, and demand the bytes of an undisturbed week.

python -m tests.faults --moments 25        (make chaos)

Every moment starts from a copy of the same home. Victims: the `child` that runs a stage, the `flow` process, and in
the suite with a server (`tests.faults.workerchaos`) the `worker`. After each the same must hold: the CSV is that of the
undisturbed run, each stage was completed once, nothing that the run started is still alive, nothing half-written is
left. Printed: moment, victim, where it was, and the seconds of work that had to be repeated.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eraflow.disk.atomic import TEMPORARY
from eraflow.disk.digest import file_sha256
from eraflow.machine.ledger import Ledger
from eraflow.runs.unfinished import is_unfinished

ROOT = Path(__file__).parents[2]
MARK = "ERAFLOW_CHAOS_ID"
# A small week whose stages take long enough to be hit, and a gate that is about the road, not about the model.
WEEK = {
    "sandbox.train_eras": "90",
    "sandbox.validation_eras": "50",
    "sandbox.rows_per_era": "150",
    "sandbox.features": "24",
    "sandbox.signal": "3",
    "windows.folds": "3",
    "models.lightgbm.params.n_estimators": "150",
    "models.xgboost.params.n_estimators": "150",
    "models.catboost.params.n_estimators": "150",
    "gate.mmc_floor": "null",
    "gate.max_drawdown": "null",
    "gate.max_exposure": "null",
    "gate.recent_eras": "null",
    "gate.bmc_bound": "-1",
    "gate.max_feature_corr": "null",
    "gate.max_lead": "null",
    "gate.max_overfit": "null",
}


STARTING, FINISHED = "starting", "finished"


class Broken(AssertionError):
    """What must never happen, happened."""


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise Broken(what)


@dataclass(frozen=True)
class Told:
    """One moment of chaos, for the table."""

    seconds: float
    victim: str
    where: str
    repeated: float
    total: float

    def row(self) -> str:
        return f"{self.seconds:8.1f}  {self.victim:14}{self.where:20}{self.repeated:10.1f}{self.total:10.1f}"


HEAD = f"{'moment s':>8}  {'victim':14}{'where':20}{'repeated s':>10}{'in all s':>10}"


def environment(mark: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NUMERAI_"))}
    return {**kept, MARK: mark, "PYTHONPATH": str(ROOT), "CI": "true"}


def start(home: Path, mark: str, *more: str) -> subprocess.Popen[bytes]:
    """`eraflow run` on the small week, in a session of its own, as a terminal or a timer starts it."""
    settings = [part for name, value in WEEK.items() for part in ("--set", f"{name}={value}")]
    command = [
        sys.executable,
        "-m",
        "flows.command.entry",
        "run",
        "--profile",
        "sandbox",
        "--home",
        str(home),
        "--json",
    ]
    with (home.parent / f"{mark}.log").open("ab") as log, (home.parent / f"{mark}.json").open("wb") as out:
        return subprocess.Popen(
            [*command, *settings, *more],
            cwd=ROOT,
            env=environment(mark),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
        )


def record(home: Path, mark: str) -> dict:
    """The last line of stdout."""
    return json.loads((home.parent / f"{mark}.json").read_text().splitlines()[-1])


def alive(mark: str) -> dict[int, str]:
    """Every process that the marked command started, itself included, by number: its command line."""
    wanted = f"{MARK}={mark}\0".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes():
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def no_orphans(mark: str) -> None:
    no_orphans_of(lambda: alive(mark))


def no_orphans_of(look: Callable[[], dict[int, str]], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while left := look():
        demand(time.monotonic() < deadline, f"still alive: {left}")
        time.sleep(0.1)


def child_of(mark: str) -> int | None:
    """The process that runs a stage: the leader, not its guard."""
    stages = {pid: line for pid, line in alive(mark).items() if "eraflow.machine.child" in line}
    leaders = [pid for pid in stages if _parent(pid) not in stages]
    return leaders[0] if leaders else None


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def run_dir_of(home: Path) -> Path | None:
    found = sorted((home / "runs").glob("*/"))
    return found[-1] if found else None


def where_now(run_dir: Path | None) -> str:
    """The stage or step that the run is in, from what lies in its folder."""
    if run_dir is None or not (run_dir / "settings.json").exists():
        return STARTING
    if not is_unfinished(run_dir):
        return FINISHED
    noted = (run_dir / "stages.txt").read_text().split() if (run_dir / "stages.txt").exists() else []
    if not noted:
        return "refresh"
    return noted[-1] if not (run_dir / noted[-1] / "manifest.json").exists() else f"after {noted[-1]}"


def work_lost(run_dir: Path | None, killed: float) -> float:
    """Seconds since the last thing that is kept: the start of the attempt under way, or its last finished fold."""
    if run_dir is None:
        return 0.0
    for ledger in run_dir.glob("*/ledger.jsonl"):
        rows = Ledger(ledger).rows
        if rows and rows[-1]["kind"] == "interrupted" and not (ledger.parent / "manifest.json").exists():
            kept = [path.stat().st_mtime for path in ledger.parent.glob("fold-*.json")]
            began = ledger.stat().st_mtime
            return max(0.0, killed - max([began, *kept]))
    return 0.0


def check(home: Path, mark: str, run_dir: Path, wanted: str) -> None:
    """What must hold at the end of every disturbed week."""
    told = record(home, mark)
    demand(told["outcome"] == "submitted", f"outcome {told['outcome']}: {told.get('error')}")
    demand(told["run_dir"] == str(run_dir), f"another folder was used: {told['run_dir']}, not {run_dir}")
    check_run(run_dir, wanted)
    no_orphans(mark)


def check_run(run_dir: Path, wanted: str) -> None:
    """What the folder of a disturbed week must hold at its end."""
    sha256 = file_sha256(run_dir / "submission" / "submission.csv")
    demand(sha256 == wanted, f"another CSV: {sha256}, not {wanted}")
    for ledger in run_dir.glob("*/ledger.jsonl"):
        finished = [row for row in Ledger(ledger).rows if row["kind"] == "ok"]
        demand(len(finished) == 1, f"{ledger.parent.name} was completed {len(finished)} times")
        demand((ledger.parent / "manifest.json").exists(), f"{ledger.parent.name} has no manifest")
    halves = [str(path) for path in run_dir.rglob(f".*{TEMPORARY}")]
    demand(not halves, f"half-written files: {halves}")


class Chaos:
    """An undisturbed week, and disturbed ones that start from the same home.

    Attributes:
        sha256: of the undisturbed submission.
        seconds: what the undisturbed week takes, from the command to its end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prepared = folder / "prepared" / "home"
        self.prepared.mkdir(parents=True)
        self._prepare()

    def _prepare(self) -> None:
        """One dry week makes data and databases, which every moment starts from; then the undisturbed one."""
        process = start(self.prepared, "prepare", "--dry-run")
        demand(process.wait(600) == 0, (self.prepared.parent / "prepare.log").read_text()[-3000:])
        shutil.rmtree(self.prepared / "runs")
        home = self.fresh("undisturbed")
        began = time.monotonic()
        process = start(home, "undisturbed")
        demand(process.wait(600) == 0, (home.parent / "undisturbed.log").read_text()[-3000:])
        self.seconds = time.monotonic() - began
        run_dir = run_dir_of(home)
        demand(run_dir is not None, "no run folder")
        self.sha256 = file_sha256(run_dir / "submission" / "submission.csv")
        check(home, "undisturbed", run_dir, self.sha256)

    def fresh(self, name: str) -> Path:
        home = self.folder / name / "home"
        shutil.copytree(self.prepared, home)
        return home

    def kill_child(self, name: str, moment: float) -> Told:
        """SIGKILL to the stage's process, as the kernel does it. The flow goes on by itself."""
        home = self.fresh(name)
        began = time.monotonic()
        process = start(home, name)
        time.sleep(moment)
        while (child := child_of(name)) is None and process.poll() is None:
            time.sleep(0.05)
        demand(child is not None, f"no stage ran after {moment:.1f} s")
        run_dir = run_dir_of(home)
        where, killed, at = where_now(run_dir), time.time(), time.monotonic() - began
        lost = work_lost(run_dir, killed)
        os.kill(child, signal.SIGKILL)
        code = process.wait(600)
        demand(code == 0, f"exit code {code}: {(home.parent / f'{name}.log').read_text()[-3000:]}")
        check(home, name, run_dir, self.sha256)
        return self._done(name, Told(at, "child", where, lost, time.monotonic() - began))

    def kill_flow(self, name: str, moment: float, number: int = signal.SIGKILL) -> Told:
        """The flow's process dies; `--resume` finds the run by itself and goes on."""
        home = self.fresh(name)
        began = time.monotonic()
        process = start(home, name)
        time.sleep(moment)
        run_dir = run_dir_of(home)
        where, killed = where_now(run_dir), time.time()
        lost = work_lost(run_dir, killed)
        at = time.monotonic() - began
        process.send_signal(number)
        process.wait(30)
        no_orphans(name)
        again = start(home, name, "--resume")
        code = again.wait(600)
        demand(code == 0, f"exit code {code}: {(home.parent / f'{name}.log').read_text()[-3000:]}")
        # Before the run has a folder, and after it has come to its end, there is nothing to resume: a new one is begun.
        folder = run_dir if where not in (STARTING, FINISHED) else run_dir_of(home)
        demand(folder is not None, "no run folder")
        check(home, name, folder, self.sha256)
        victim = "flow" if number == signal.SIGKILL else f"flow {signal.Signals(number).name}"
        return self._done(name, Told(at, victim, where, lost, time.monotonic() - began))

    def _done(self, name: str, told: Told) -> Told:
        shutil.rmtree(self.folder / name)  # kept only where something broke
        return told

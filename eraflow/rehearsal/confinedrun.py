"""One process of a rehearsal: started in an empty folder, watched, ended at its limits, and what became of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_bytes, write_json
from eraflow.machine.processtree import ProcessTree
from eraflow.machine.watch import Limits, Watchdog
from eraflow.rehearsal import nonetwork, runner
from eraflow.rehearsal.pins import ABSENT

LOOK_SECONDS = 0.1
NANOSECONDS = 1e9


@dataclass(frozen=True)
class Room:
    """What Numerai gives a model.

    Attributes:
        memory_mb: MiB.
        seconds: of one processor that does nothing else.
    """

    memory_mb: float = 4_096
    seconds: float = 600


@dataclass(frozen=True)
class Outcome:
    """What became of a process.

    Attributes:
        report: what it wrote: step, cpu_seconds, peak_rss_mb, error, problems, parts, runs, modules, no_network.
        returncode: negative: the signal that ended it.
        ended_by: "memory" or "time", where a limit did.
        peak_mb: highest memory that the kernel cannot drop, MiB.
        seconds: of processor and of waiting for something else than the processor.
        said: the end of what it printed.
    """

    report: dict[str, Any]
    returncode: int
    ended_by: str | None
    peak_mb: float
    seconds: float
    said: str


def run_confined(
    command: Sequence[str], spec: dict[str, Any], folder: Path, room: Room, *, contained: bool = False
) -> Outcome:
    """Run the runner with a spec, and wait for its end.

    Args:
        command: of the interpreter, such as `["/.../python", "-I"]`.
        spec: pickle, reference (or None) and files; the rest is put in here.
        folder: empty; all that the process writes lies in it.
        room: its limits.
        contained: a container keeps memory and network away already.
    """
    for module in (runner, nonetwork):
        source = Path(str(module.__file__))
        write_bytes(folder / source.name, source.read_bytes())
    whole = {
        **spec,
        "report": str(folder / "report.json"),
        "nonetwork": str(folder / "nonetwork.py"),
        "absent": list(ABSENT),
        "memory_mb": 0 if contained else int(room.memory_mb),
        "seconds": int(room.seconds) + 1,
        "contained": contained,
        "parent": 0 if contained else os.getpid(),
    }
    write_json(folder / "spec.json", whole)
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [*command, str(folder / "runner.py"), str(folder / "spec.json")],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return _watched(process, folder, room)


def _watched(process: subprocess.Popen[bytes], folder: Path, room: Room) -> Outcome:
    tree = ProcessTree(process.pid)
    watchdog = Watchdog(tree, Limits(room.memory_mb))
    clock = OwnTime(process.pid)
    late = False
    watchdog.start()
    try:
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(LOOK_SECONDS)
            if clock.look() > room.seconds:
                late = True
                break
    finally:
        tree.kill()  # before the exit code is taken: until then the number cannot belong to another process
        watchdog.stop()
        returncode = process.wait()
    if watchdog.fault is not None:
        raise watchdog.fault
    report = _report(folder)
    late = late or returncode == -signal.SIGXCPU
    ended_by = "memory" if watchdog.breach == "memory" else "time" if late else None
    said = (folder / "output.txt").read_bytes()[-2000:].decode("utf-8", "replace")
    peak = max(watchdog.peak.memory_mb, 0.0)
    return Outcome(report, returncode, ended_by, peak, max(clock.seconds, report.get("cpu_seconds", 0.0)), said)


class OwnTime:
    """How long a process would have run on a processor of its own: all but the time it waited for the processor.

    Attributes:
        seconds: as of the last look.
    """

    def __init__(self, pid: int) -> None:
        self._places = (Path(f"/proc/{pid}/schedstat"), Path(f"/proc/{pid}/stat"))
        self._began = time.monotonic()
        self.seconds = 0.0

    def look(self) -> float:
        """Look again."""
        passed = time.monotonic() - self._began
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended, or the kernel does not tell
            waited = int(self._places[0].read_text().split()[1]) / NANOSECONDS
            fields = self._places[1].read_text().rpartition(")")[2].split()
            computed = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            self.seconds = max(passed - waited, computed)
        return self.seconds


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of this process's own: no keys, no paths, a home that is empty."""
    own = {name: str(folder) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR")}
    return {**own, "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_WAIT_POLICY": "PASSIVE"}


def _report(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {"step": "starting", "error": None, "problems": [], "cpu_seconds": 0.0}
    return found

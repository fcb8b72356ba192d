"""Running a heavy stage in a child process, so that no way of dying takes the flow with it.

The parent starts a Prefect-free child in a session of its own, writes its output to the log line by line, watches the
memory of everything the child starts, and turns its end into a value or into one named error.
"""

from __future__ import annotations

import contextlib
import json
import os
import site
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from eraflow.machine.deaths import Remains, value_or_raise
from eraflow.machine.mark import STAGE_VARIABLE, kill_marked
from eraflow.machine.progress import ENVIRONMENT_FLAG, Progress, ProgressMeter
from eraflow.machine.pump import Pump
from eraflow.machine.watch import ExitWait, ProcessTree, Watchdog
from eraflow.store.atomic import storage_errors, write_text

LOOK_SECONDS = 0.1
OUTPUT_SECONDS = 5.0  # for the last lines, after the end of the child
# Every one of these libraries takes all cores of the host unless it is told, even in a container with two.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)


@dataclass(frozen=True)
class Outcome:
    """What an isolated stage gave.

    Attributes:
        value: the function's value, as JSON.
        peak_mb: highest memory of the process tree that the kernel cannot drop, MiB; what the budget is about.
        seconds: from the start of the process to its end.
        samples: (seconds, MiB) over time, at most 600.
        peak_rss_mb: highest resident size of the tree, MiB, mapped files included.
    """

    value: Any
    peak_mb: float
    seconds: float
    samples: list[tuple[float, float]] = field(repr=False)
    peak_rss_mb: float = 0.0


def run_isolated(
    target: str,
    kwargs: Mapping[str, Any],
    *,
    memory_mb: float | None,
    timeout_s: float | None,
    log: Callable[[str], None],
    folder: Path | str,
    on_progress: Callable[[Progress], None] | None = None,
    env: Mapping[str, str] | None = None,
    threads: int | None = None,
) -> Outcome:
    """Call `target(**kwargs)` in a child process and wait for it.

    Nothing the child started outlives this call, also when it is left by an exception (a cancelled run, Ctrl-C) or when
    this process is killed. `log` and `on_progress` are called in this thread.

    Args:
        target: `package.module:function`, importable here; it returns JSON values.
        kwargs: its keyword arguments, JSON values and paths (which arrive as text).
        memory_mb: ceiling of the whole process tree, MiB; None for none.
        timeout_s: deadline in seconds; None for none.
        log: takes each line of output.
        folder: where spec.json, stage.log and out.json lie.
        on_progress: takes about two `Progress` a second.
        env: environment variables to add or replace.
        threads: of the numerical libraries; empty: those of `kwargs["plan"]`.

    Raises:
        StageError: one of its classes in `eraflow.machine.failures`.
        EraflowError: a named error that the stage raised, as the same class.
        StorageError: when `folder` cannot be written.
    """
    place = Path(folder).absolute()
    _prepare(place, target, kwargs)
    stage_id = uuid.uuid4().hex
    environment = _environment(threads or _planned_threads(kwargs), {**(env or {}), STAGE_VARIABLE: stage_id})
    process = _start(place, environment)
    tree = ProcessTree(process.pid)
    watchdog = Watchdog(tree, memory_mb, timeout_s)
    pump = Pump(_output_of(process), place / "stage.log")
    meter = ProgressMeter(_guarded(on_progress, log))
    try:
        pump.start()
        watchdog.start()
        _follow(process, pump, log, meter)
    except BaseException:
        pump.abandon()
        raise
    finally:
        seconds = watchdog.seconds
        tree.kill()  # all of this before the exit code is taken: until then the number cannot belong to another process
        kill_marked(stage_id)
        watchdog.stop()
        process.wait()
        _let_go(process)
    _drain_to_end(pump, log, meter)
    if watchdog.fault is not None:
        raise watchdog.fault
    remains = Remains(
        target=target,
        log_file=place / "stage.log",
        returncode=process.returncode,
        tail=tuple(pump.tail),
        record=_record(place) or pump.failure,
        breach=watchdog.breach,
        at_breach_mb=watchdog.at_breach_mb,
        peak_mb=watchdog.peak.memory_mb,
        seconds=seconds,
        memory_mb=memory_mb,
        timeout_s=timeout_s,
    )
    value = value_or_raise(remains)
    resident = max(watchdog.peak.rss_mb, float((remains.record or {}).get("peak_rss_mb", 0.0)))
    return Outcome(value, remains.peak_mb, seconds, watchdog.samples.points, resident)


def _prepare(place: Path, target: str, kwargs: Mapping[str, Any]) -> None:
    """The spec for the child; the result of an earlier attempt must not be taken for this one's."""
    spec = {"target": target, "kwargs": dict(kwargs), "parent": os.getpid(), "sys_path": sys.path}
    with storage_errors(place):
        (place / "out.json").unlink(missing_ok=True)
    write_text(place / "spec.json", json.dumps(spec, indent=2, sort_keys=True, default=os.fspath))
    head = f"--- {datetime.now(UTC).isoformat(timespec='seconds')} {target}\n"
    with storage_errors(place / "stage.log"), (place / "stage.log").open("ab") as file:
        file.write(head.encode())


def _planned_threads(kwargs: Mapping[str, Any]) -> int | None:
    plan = kwargs.get("plan")
    threads = plan.get("threads") if isinstance(plan, Mapping) else None
    return threads if isinstance(threads, int) else None


def _environment(threads: int | None, extra: Mapping[str, str]) -> dict[str, str]:
    values = {
        **os.environ,
        ENVIRONMENT_FLAG: "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # waiting OpenMP threads sleep; spinning ones slow a shared computer fivefold
        "MALLOC_ARENA_MAX": "2",  # glibc keeps an arena for each thread, and never gives back what they hold
        "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": _import_path(),
    }
    if threads is not None:
        values.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    return {**values, **extra}


def _import_path() -> str:
    """What the child needs to find this very package; it takes over the rest of sys.path from the spec."""
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH", "")
    if root in site.getsitepackages():  # installed: found anyway, and not to be put before the standard library
        return inherited
    return os.pathsep.join(part for part in (root, inherited) if part)


def _start(place: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # -P: the current folder is not searched for modules, so a file of the user's named json.py does no harm.
    return subprocess.Popen(
        [sys.executable, "-P", "-u", "-m", "eraflow.machine.child", str(place)],
        stdin=subprocess.PIPE,  # never written to; its end tells the child's guard that this process is gone
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(env),
        start_new_session=True,
    )


def _output_of(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdout is None:
        raise RuntimeError("the child was started without a pipe for its output")
    return process.stdout


def _guarded(
    on_progress: Callable[[Progress], None] | None, log: Callable[[str], None]
) -> Callable[[Progress], None] | None:
    """A progress bar that fails (a server that is down) is noted once and left alone: it must not cost the stage."""
    if on_progress is None:
        return None
    broken = False

    def show(progress: Progress) -> None:
        nonlocal broken
        if broken:
            return
        try:
            on_progress(progress)
        except Exception as error:  # noqa: BLE001 - whatever a progress bar raises, the stage goes on
            broken = True
            log(f"progress is no longer shown, {type(error).__name__}: {error}")

    return show


def _follow(process: subprocess.Popen[bytes], pump: Pump, log: Callable[[str], None], meter: ProgressMeter) -> None:
    """Pass on output and progress until the child has ended."""
    exit_wait = ExitWait(process)
    try:
        while not exit_wait.ended(LOOK_SECONDS):
            _pass_on(pump, log, meter)
    finally:
        exit_wait.close()


def _pass_on(pump: Pump, log: Callable[[str], None], meter: ProgressMeter, *, final: bool = False) -> None:
    for item in pump.waiting():
        if isinstance(item, str):
            log(item)
        else:
            meter.feed(item[1])
    meter.flush(final=final)


def _drain_to_end(pump: Pump, log: Callable[[str], None], meter: ProgressMeter) -> None:
    """The last lines. Bounded in time: a process that left the tree unseen may hold the pipe for ever."""
    end = time.monotonic() + OUTPUT_SECONDS
    while pump.is_alive() and time.monotonic() < end:
        _pass_on(pump, log, meter)
        pump.join(0.01)
    _pass_on(pump, log, meter, final=True)
    pump.abandon()


def _let_go(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _record(place: Path) -> dict[str, Any] | None:
    """What the child left, or None: it is renamed into place whole, so a broken one is nobody's."""
    try:
        value = json.loads((place / "out.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and "ok" in value else None

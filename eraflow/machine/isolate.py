"""Running a heavy stage in a child process, so that no way of dying takes the flow with it.

The parent starts a Prefect-free child in a session of its own, writes its output to the log line by line, watches the
memory of everything the child starts, and turns its end into a value or into one named error.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eraflow.errors import EraflowError
from eraflow.machine.exits import Remains, oom_kills, value_or_raise
from eraflow.machine.failures import StageError, classify, stage_error
from eraflow.machine.launch import environment, left_behind, let_go, output_of, planned, prepare, start
from eraflow.machine.limits import refuse_passed_limit
from eraflow.machine.listener import Listener
from eraflow.machine.outputreader import OutputReader
from eraflow.machine.processmark import STAGE_VARIABLE, kill_marked
from eraflow.machine.processtree import ProcessTree
from eraflow.machine.progress import Progress
from eraflow.machine.recorder import Recorder
from eraflow.machine.watch import Allowance, ExitWait, Limits, Watchdog

LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class IsolatedResult:
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
    memory_mb: float | Allowance | None,
    timeout_s: float | None,
    log: Callable[[str], None],
    folder: Path | str,
    on_progress: Callable[[Progress], None] | None = None,
    env: Mapping[str, str] | None = None,
    threads: int | None = None,
    disk_floor_mb: float | None = None,
    vram_mb: float | None = None,
    smaller_plan: bool = False,
) -> IsolatedResult:
    """Call `target(**kwargs)` in a child process and wait for it.

    Nothing the child started outlives this call, also when it is left by an exception (a cancelled run, Ctrl-C) or when
    this process is killed. `log` and `on_progress` are called in this thread.

    Args:
        target: `package.module:function`, importable here; it returns JSON values.
        kwargs: its keyword arguments, JSON values and paths (which arrive as text).
        memory_mb: ceiling of the whole process tree, MiB, or what tells it (a lease of a budget); None for none.
        timeout_s: deadline in seconds; None for none.
        log: takes each line of output.
        folder: where spec.json, stage.log, out.json, watch.json and training.json lie.
        on_progress: takes about two `Progress` a second.
        env: environment variables to add or replace.
        threads: of the numerical libraries; empty: those of `kwargs["plan"]`.
        disk_floor_mb: the disk of `folder` must keep this much free, MiB; None or 0 for no such limit.
        vram_mb: ceiling of the tree's GPU memory, MiB; None for none.
        smaller_plan: whether a stage that is ended for its memory is tried again with less, for the warning before.

    Raises:
        StageError: one of its classes in `eraflow.machine.failures`.
        EraflowError: a named error that the stage raised, as the same class.
        StorageError: when `folder` cannot be written.
    """
    place = Path(folder).absolute()
    prepare(place, target, kwargs)
    limits = Limits(memory_mb, timeout_s, disk_floor_mb, vram_mb, smaller_plan)
    stage = _Stage(target, place, limits, log, on_progress, gpu=planned(kwargs, "device", str) == "cuda")
    return stage.run(threads or planned(kwargs, "threads", int), env or {})


class _Stage:
    """One child with everything that listens to it and watches it."""

    def __init__(
        self,
        target: str,
        place: Path,
        limits: Limits,
        log: Callable[[str], None],
        on_progress: Callable[[Progress], None] | None,
        *,
        gpu: bool,
    ) -> None:
        self.target, self.place, self.limits, self.log, self.gpu = target, place, limits, log, gpu
        self.on_progress = on_progress
        self.id = uuid.uuid4().hex
        self.kills_before = oom_kills()

    def run(self, threads: int | None, env: Mapping[str, str]) -> IsolatedResult:
        """Start the child, wait for its end, and tell what it was."""
        try:
            self.process = start(self.place, environment(threads, {**env, STAGE_VARIABLE: self.id}))
        except OSError as error:
            raise self._not_started(error) from error
        tree = ProcessTree(self.process.pid)
        self.watchdog = Watchdog(tree, self.limits)
        self.recorder = Recorder(self.watchdog, tree, self.place, gpu=self.gpu)
        self.listener = Listener(
            OutputReader(output_of(self.process), self.place / "stage.log"),
            self.watchdog,
            self.place,
            log=self.log,
            on_progress=self.on_progress,
        )
        ended = "interrupted"
        try:
            seconds = self._watch(tree)
            ended = "error"
            outcome = self._judge(seconds)
            ended = "ok"
        except EraflowError as error:
            ended = getattr(error, "kind", "error")
            raise
        finally:
            self.recorder.conclude(ended)
        return outcome

    def _watch(self, tree: ProcessTree) -> float:
        """Listen until the child has ended and nothing of it lives; gives the seconds that it lived."""
        try:
            self.listener.start()
            self.watchdog.start()
            self.recorder.start()
            self._follow()
        except BaseException as error:
            self.listener.abandon()
            if isinstance(error, RuntimeError) and classify(error) == "oom":  # no thread for the watch
                raise self._not_started(error) from error
            raise
        finally:
            seconds = self.watchdog.seconds
            tree.kill()  # before the exit code is taken: until then the number cannot belong to another process
            kill_marked(self.id)
            self.watchdog.stop()
            self.process.wait()
            let_go(self.process)
        self.listener.drain()
        if self.watchdog.fault is not None:
            raise self.watchdog.fault
        return seconds

    def _not_started(self, error: Exception) -> StageError:
        """The system has no process or thread to give, or it refuses for a reason of its own."""
        return stage_error(
            "oom" if classify(error) == "oom" else "error",
            f"{self.target} could not be started: {error}",
            "close other programs, or raise the limits of processes and memory (ulimit -u, ulimit -v, container)",
        )

    def _follow(self) -> None:
        """Pass on output and progress until the child has ended."""
        exit_wait = ExitWait(self.process)
        try:
            while not exit_wait.ended(LOOK_SECONDS):
                self.listener.pass_on()
        finally:
            exit_wait.close()

    def _judge(self, seconds: float) -> IsolatedResult:
        watchdog, record = self.watchdog, left_behind(self.place) or self.listener.failure
        remains = Remains(
            target=self.target,
            log_file=self.place / "stage.log",
            returncode=self.process.returncode,
            tail=self.listener.tail,
            record=record,
            breach=watchdog.breach,
            at_breach_mb=watchdog.at_breach,
            peak_mb=watchdog.peak.memory_mb,
            seconds=seconds,
            memory_mb=watchdog.budget_mb,
            timeout_s=self.limits.timeout_s,
            oom_kills_rose=oom_kills() > self.kills_before,
        )
        refuse_passed_limit(remains, self.limits, self.place)
        value = value_or_raise(remains)
        resident = max(watchdog.peak.rss_mb, float((record or {}).get("peak_rss_mb", 0.0)))
        return IsolatedResult(value, remains.peak_mb, seconds, watchdog.samples.points, resident)

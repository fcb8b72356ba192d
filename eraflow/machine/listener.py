"""What the parent does with a child's output: lines go to the log, progress and training curve where they are shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eraflow.errors import EraflowError
from eraflow.machine.outputreader import OutputReader
from eraflow.machine.progress import Progress, ProgressMeter
from eraflow.machine.training import TrainingCurve
from eraflow.machine.watch import Watchdog

OUTPUT_SECONDS = 5.0  # for the last lines, after the end of the child


class Listener:
    """Passes on, in the thread that calls it, what has come from a child and from its watchdog."""

    def __init__(
        self,
        output: OutputReader,
        watchdog: Watchdog,
        place: Path,
        *,
        log: Callable[[str], None],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._output, self._watchdog, self._place, self._log = output, watchdog, place, log
        self._meter = ProgressMeter(_guarded(on_progress, log))
        self._curve = TrainingCurve()
        self._curve_refused = False

    def start(self) -> None:
        """Begin to read the child's output."""
        self._output.start()

    def abandon(self) -> None:
        """Nobody listens any more; the output still goes to its file."""
        self._output.abandon()

    @property
    def tail(self) -> tuple[str, ...]:
        """The child's last lines."""
        return tuple(self._output.tail)

    @property
    def failure(self) -> dict[str, Any] | None:
        """A failure record that came through the pipe because the disk refused it."""
        return self._output.failure

    def pass_on(self, *, final: bool = False) -> None:
        """Hand on everything that is waiting."""
        for item in self._output.waiting():
            if isinstance(item, str):
                self._log(item)
            elif item[0] == "progress":
                self._meter.feed(item[1])
            elif item[0] == "training":
                self._curve.feed(item[1])
        for line in self._watchdog.notes():
            self._log(line)
        self._meter.flush(final=final)
        if final or self._curve.due():
            self._write_curve()

    def drain(self) -> None:
        """The last lines. Bounded in time: a process that left the tree unseen may hold the pipe for ever."""
        end = time.monotonic() + OUTPUT_SECONDS
        while self._output.is_alive() and time.monotonic() < end:
            self.pass_on()
            self._output.join(0.01)
        self.pass_on(final=True)
        self._output.abandon()

    def _write_curve(self) -> None:
        try:
            self._curve.write(self._place)
        except (EraflowError, OSError) as error:  # a curve is not worth a stage; the disk may be full
            if not self._curve_refused:
                self._curve_refused = True
                self._log(f"WARNING the training curve cannot be written: {error}")


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

"""The record of a stage while it runs, `watch.json` beside it: its budget, its curves, its peaks and its end.

Written every ten seconds, whole or not at all, so that a kill of everything leaves what was known by then.

    {"attempts": [{"started", "seconds", "outcome", "budget_mb", "soft_mb", "soft_at", "disk_floor_mb", "vram_limit_mb",
                   "timeout_s", "notes", "channels": {name: {"points": [[seconds, value], ...], "peak"}}}, ...]}

Channels: memory_mb, and where they can be read vram_mb, disk_free_mb (its peak is the lowest value) and temperature_c.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_text
from eraflow.errors import EraflowError
from eraflow.machine.processtree import ProcessTree
from eraflow.machine.sensors import disk_free_mb, temperature_c, vram_mb
from eraflow.machine.series import Series
from eraflow.machine.watch import SOFT_SHARE, Watchdog

WATCH_FILE = "watch.json"
LOOK_SECONDS = 1.0  # free disk: one call of the file system
SENSE_SECONDS = 5.0  # GPU and temperature: programs and drivers are asked
WRITE_SECONDS = 10.0
JOIN_SECONDS = 5.0  # it may be waiting for a driver that hangs; the stage is over either way
MAX_ATTEMPTS = 12
SLOW_POINTS = 200
HOT_C = 92.0
"""Most processors slow themselves down from 95 to 105 degrees; a warning, never an end."""


class Recorder(threading.Thread):
    """Looks at disk, GPU and temperature of a running stage and writes the record; ends it when a limit is passed.

    Args:
        watchdog: holds the limits, the memory curve and the means to end the stage.
        tree: the stage's processes.
        folder: of the stage.
        gpu: whether the stage uses a GPU; only then it is asked about.
    """

    def __init__(self, watchdog: Watchdog, tree: ProcessTree, folder: Path, *, gpu: bool) -> None:
        super().__init__(name=f"recorder-{tree.pid}", daemon=True)
        self._watchdog, self._tree, self._folder, self._gpu = watchdog, tree, folder, gpu
        self._began_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._slow = {name: Series(SLOW_POINTS) for name in ("vram_mb", "disk_free_mb", "temperature_c")}
        self._earlier = read_watch(folder)[-(MAX_ATTEMPTS - 1) :]
        self._remarks: list[str] = []
        self._told: set[str] = set()
        self._done = threading.Event()

    def run(self) -> None:
        """Look and write until told to stop. A fault here is told; it does not end the stage, as memory is seen to."""
        sensed = written = time.monotonic() - SENSE_SECONDS
        try:
            while True:
                self._look_at_disk()
                now = time.monotonic()
                if now - sensed >= SENSE_SECONDS:
                    sensed = now
                    self._sense()
                if now - written >= WRITE_SECONDS:
                    written = now
                    self._write("running")
                if self._done.wait(LOOK_SECONDS):
                    return
        except Exception as error:  # noqa: BLE001 - see above
            self._remark("fault", f"WARNING disk, GPU and temperature are no longer watched: {error!r}")

    def conclude(self, outcome: str) -> None:
        """Stop looking and write how the attempt ended: "ok" or a kind of failure."""
        self._done.set()
        if self.is_alive():
            self.join(JOIN_SECONDS)
        self._write(outcome)

    def _look_at_disk(self) -> None:
        free, floor = disk_free_mb(self._folder), self._watchdog.limits.disk_floor_mb
        if free is None:
            return
        self._slow["disk_free_mb"].add(
            round(self._watchdog.seconds, 1), -round(free, 1)
        )  # the series keeps the highest
        if floor and free < floor:
            self._watchdog.end("disk", free)

    def _sense(self) -> None:
        seconds, limit = round(self._watchdog.seconds, 1), self._watchdog.limits.vram_mb
        used = vram_mb(self._tree.refresh()) if self._gpu else None
        if used is not None:
            self._slow["vram_mb"].add(seconds, used)
            if limit is not None and used > limit:
                self._watchdog.end("vram", used)
        heat = temperature_c(gpu=self._gpu)
        if heat is not None:
            self._slow["temperature_c"].add(seconds, heat)
            if heat >= HOT_C:
                self._remark("heat", f"WARNING a sensor of this computer is at {heat:.0f} °C; it may slow down")

    def _remark(self, what: str, line: str) -> None:
        """Tell something once: in the log and in the record."""
        if what not in self._told:
            self._told.add(what)
            self._remarks.append(line)
            self._watchdog.note(line)

    def _write(self, outcome: str) -> None:
        try:
            # Without line ends: hundreds of points, and nobody reads them as text.
            content = json.dumps({"attempts": [*self._earlier, self._record(outcome)]}, allow_nan=False)
            write_text(self._folder / WATCH_FILE, content + "\n")
        except (EraflowError, OSError, ValueError) as error:  # a record is not worth a stage; the disk may be full
            self._remark("file", f"WARNING the record of the watch cannot be written: {error}")

    def _record(self, outcome: str) -> dict[str, Any]:
        watchdog, budget = self._watchdog, self._watchdog.budget_mb
        return {
            "started": self._began_at,
            "seconds": round(watchdog.seconds, 2),
            "outcome": outcome,
            "budget_mb": None if budget is None else round(budget),
            "soft_mb": None if budget is None else round(SOFT_SHARE * budget),
            "soft_at": watchdog.soft_at,
            "disk_floor_mb": watchdog.limits.disk_floor_mb,
            "vram_limit_mb": watchdog.limits.vram_mb,
            "timeout_s": watchdog.limits.timeout_s,
            "notes": list(self._remarks),
            "channels": self._channels(),
        }

    def _channels(self) -> dict[str, Any]:
        memory = list(self._watchdog.samples.points)
        found = {"memory_mb": {"points": memory, "peak": round(self._watchdog.peak.memory_mb, 1)}}
        for name, series in self._slow.items():
            points = list(series.points)
            if name == "disk_free_mb":
                points = [(seconds, -value) for seconds, value in points]
            if points:
                values = [value for _, value in points]
                found[name] = {"points": points, "peak": min(values) if name == "disk_free_mb" else max(values)}
        return found


def read_watch(folder: Path) -> list[dict[str, Any]]:
    """The attempts in the record of a stage, oldest first; empty when there is none or it cannot be read."""
    try:
        attempts = json.loads((folder / WATCH_FILE).read_text(encoding="utf-8"))["attempts"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return (
        [row for row in attempts if isinstance(row, dict) and "channels" in row] if isinstance(attempts, list) else []
    )

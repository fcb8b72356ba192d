"""The attempts of a stage on disk: a line before each and one after, so that one whose flow was killed is known."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import storage_errors
from eraflow.machine.plan import RETRIED_KINDS, FailureKind, Plan


class Ledger:
    """A JSON-lines file of attempts. Each line is on the disk before the call returns.

    A line that a crash tore in the middle is skipped when read and never glued to the next one.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def start(self, plan: Plan) -> int:
        """Note that an attempt begins, before it begins; gives its number, from 1.

        Raises:
            StorageError: when the line cannot be written; then the attempt must not begin.
        """
        attempt = 1 + max((int(row["attempt"]) for row in self.rows), default=0)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._append({"event": "start", "attempt": attempt, "plan": plan.as_dict(), "at": now})
        return attempt

    def finish(
        self,
        attempt: int,
        kind: str,
        peak_mb: float | None = None,
        seconds: float | None = None,
        error: str | None = None,
    ) -> None:
        """Note how an attempt ended: "ok" or a `FailureKind`."""
        self._append(
            {"event": "end", "attempt": attempt, "kind": kind, "peak_mb": peak_mb, "seconds": seconds, "error": error}
        )

    def close(self) -> None:
        """Note that the stage was given up: the next run begins with the first plan, whatever was tried before."""
        self._append({"event": "close"})

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All attempts, oldest first.

        Keys: attempt, kind ("ok", a `FailureKind`; "interrupted" when it was started and never ended), plan (dict),
        changed (text against the attempt before), why (the failure before it, empty for a first plan), peak_mb (MiB),
        seconds, error (each may be None), started_at.
        """
        return [row for row in self._read() if row["kind"] != "close"]

    @property
    def last_plan(self) -> dict[str, Any]:
        """The plan of the newest attempt; empty where there was none."""
        rows = self.rows
        return dict(rows[-1]["plan"]) if rows else {}

    def failures(self) -> list[FailureKind]:
        """The failures that the next plan must learn from, oldest first; what `next_plan` takes.

        They begin anew after a success, after `close`, and after a failure that no plan can cure (an exception, say):
        when the stage is tried again after one of those, a person has changed something.
        """
        kinds: list[FailureKind] = []
        for row in self._read():
            kinds = [*kinds, row["kind"]] if row["kind"] in RETRIED_KINDS else []
        return kinds

    def table(self) -> list[dict[str, Any]]:
        """The attempts as flat rows for people."""
        return [
            {
                "attempt": row["attempt"],
                "what happened": row["kind"],
                "changed": row["changed"],
                "why": row["why"],
                "peak MiB": None if row["peak_mb"] is None else round(row["peak_mb"]),
                "seconds": None if row["seconds"] is None else round(row["seconds"], 1),
                "plan": ", ".join(f"{name}={value}" for name, value in row["plan"].items()),
                "error": row["error"] or "",
            }
            for row in self.rows
        ]

    def _read(self) -> list[dict[str, Any]]:
        """Attempts and closings in the order of the file."""
        found = self._read_lines()
        for before, row in pairwise(found):
            if row["kind"] != "close":
                row["why"] = why(before)
        return found

    def _read_lines(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        begun: dict[int, dict[str, Any]] = {}
        previous: Mapping[str, Any] | None = None
        for line in self._lines():
            if line["event"] == "close":
                found.append({"kind": "close"})
                previous = None
            elif line["event"] == "start":
                row = _begun(line, changes(previous, line["plan"]))
                previous = row["plan"]
                begun[row["attempt"]] = row
                found.append(row)
            elif line["attempt"] in begun:
                begun[line["attempt"]].update((name, line.get(name)) for name in _ENDING)
        return found

    def _append(self, line: dict[str, Any]) -> None:
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as handle:
                if handle.seek(0, os.SEEK_END) > 0:
                    handle.seek(-1, os.SEEK_END)
                    if handle.read(1) != b"\n":  # the line before was torn by a crash
                        handle.write(b"\n")
                handle.write(json.dumps(line).encode() + b"\n")
                handle.flush()
                os.fsync(handle.fileno())

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        parsed = (_parsed(line) for line in self.path.read_bytes().split(b"\n"))
        return [line for line in parsed if line is not None]


_ENDING = ("kind", "peak_mb", "seconds", "error")
_KEYS = {"start": {"attempt", "plan"}, "end": {"attempt", "kind"}, "close": set[str]()}


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:  # torn, empty, or not UTF-8
        return None
    whole = isinstance(value, dict) and value.get("event") in _KEYS and _KEYS[value["event"]] <= value.keys()
    return value if whole else None


def _begun(line: Mapping[str, Any], changed: str) -> dict[str, Any]:
    return {
        "attempt": int(line["attempt"]),
        "kind": "interrupted",
        "plan": dict(line["plan"]),
        "changed": changed,
        "why": "",
        "peak_mb": None,
        "seconds": None,
        "error": "started and never ended: the process that ran it died",
        "started_at": line.get("at"),
    }


# Short words for the tables; the error's own text has the figures.
HAPPENED: dict[str, str] = {
    "oom": "memory ran out",
    "vram": "GPU memory ran out",
    "nan": "NaN or infinity",
    "diverged": "the loss diverged",
    "stalled": "the loss did not move",
    "timeout": "it ran too long",
    "killed": "it was killed from outside",
    "abort": "native code aborted, as a rule for want of memory",
    "segfault": "native code crashed",
    "gpu_lost": "the GPU was lost",
    "interrupted": "its process or the one above was ended",
    "disk_full": "the disk was full",
    "error": "it raised an error",
}


def why(before: Mapping[str, Any]) -> str:
    """Why an attempt differs from the one before it: "attempt 1: memory ran out at 951 MiB"; empty after a success."""
    kind = before["kind"]
    if kind in ("close", "ok"):
        return ""
    peak = f" at {before['peak_mb']:,.0f} MiB" if before["peak_mb"] and kind in ("oom", "abort", "killed") else ""
    return f"attempt {before['attempt']}: {HAPPENED.get(kind, kind)}{peak}"


def changes(previous: Plan | Mapping[str, Any] | None, plan: Plan | Mapping[str, Any]) -> str:
    """What `plan` changes against the plan before it, in words: "rows_in_memory 262,144 to 131,072"."""
    if previous is None:
        return "first plan"
    old, new = _values(previous), _values(plan)
    changed = [name for name in new if old.get(name) != new[name]]
    return (
        ", ".join(f"{name} {_text(old.get(name))} to {_text(new[name])}" for name in changed) or "the same plan again"
    )


def _values(plan: Plan | Mapping[str, Any]) -> Mapping[str, Any]:
    return plan.as_dict() if isinstance(plan, Plan) else plan


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}" if isinstance(value, float) else str(value)

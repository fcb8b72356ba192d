"""A rehearsal: an uploaded model's first day at Numerai, held here. See `rehearse`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import storage_errors, write_json
from eraflow.disk.digest import file_sha256
from eraflow.errors import SettingsError
from eraflow.rehearsal.confinedrun import Outcome, Room, run_confined
from eraflow.rehearsal.faults import PickleMemoryError, PicklePythonError, PickleTimeError, RehearsalFault, fault
from eraflow.rehearsal.judging import faults_of
from eraflow.rehearsal.liveframes import FULL_WIDTH, LIVE_ROWS, write_frames
from eraflow.rehearsal.picklescan import scanned_faults
from eraflow.rehearsal.pins import Pins
from eraflow.rehearsal.reference import ModelReferenceError, Reference, reference_path
from eraflow.rehearsal.whatfits import eras_that_fit, fewest_to_drop, next_eras, validation_needs

VERDICT_ENDING = ".rehearsal.json"
FIRST_ERAS = 2
ENDED_ABOVE = 1.05
"""What was ended at a limit took at least this much of it; how much more it wanted nobody knows."""
Command = Callable[[Path, Room], Sequence[str]]


@dataclass(frozen=True)
class Stage:
    """Where and on what a model is rehearsed.

    Attributes:
        command: from the folder of a process and its room to the interpreter's command.
        where: in words, such as the name of an image.
        contained: whether that is a container.
        pins: versions of the image.
        room: what Numerai gives.
        live: a live file of one's own; None: one is made, of `rows` and `width`.
        eras: how many eras are tried at once at the most, beside the live one: 2, then twice as many each time; below
            2: none.
    """

    command: Command
    where: str
    pins: Pins
    contained: bool = False
    room: Room = field(default_factory=Room)
    live: Path | None = None
    eras: int = 4
    rows: int = LIVE_ROWS
    width: int = FULL_WIDTH


def verdict_path(pickle: Path) -> Path:
    """Where the verdict over a pickle lies."""
    return pickle.with_name(pickle.name + VERDICT_ENDING)


def rehearse(pickle: Path, stage: Stage, folder: Path, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Load a pickle as Numerai does, compare its parts, predict a live era and many, and judge.

    Args:
        pickle: of one function. What it holds is executed, without network, in a folder of its own, but as this user:
            rehearse what you have made.
        stage: where and on what.
        folder: empty, for all files of the rehearsal.
        say: told what begins.

    Returns:
        The verdict, which is written beside the pickle too: file, sha256, python, pins (of which day), where, passed,
        faults (code, problem, remedy), trace, no_network, parts (name, difference, tolerance), live and many (rows,
        eras, ties, seconds, peak_mb; many is the most that fitted), grown (each number of eras that was tried),
        eras_that_fit and validation (extrapolated), to_drop (the fewest members without which it would fit), room,
        modules, estimate, run (the identity of the run that made it).

    Raises:
        PickleUnreadableError: it is no pickle.
        ModelReferenceError: the reference beside it is that of another pickle.
        RehearsalNotPossibleError: the process failed before the model was touched.
        SettingsError: there is no such file, or nothing tells the features of a model without a reference.
    """
    if not pickle.is_file():
        raise SettingsError(f"there is no file {pickle}", "name the pickle that `eraflow export` wrote")
    reference = _reference(pickle)
    verdict = _blank(pickle, stage, reference)
    rehearsal = _Rehearsal(pickle, stage, reference, folder, verdict, say)
    faults = scanned_faults(pickle)
    if reference is not None and reference.told["python"] != stage.pins.python:
        theirs = reference.told["python"]
        faults.append(fault(PicklePythonError, f"it was made for Python {theirs}, not for {stage.pins.python}"))
    if not faults and reference is not None and reference.told["parts"]:
        faults = rehearsal.parts()
    if not faults:
        faults = rehearsal.live()
    if not faults and stage.eras > 1 and stage.live is None:
        faults = rehearsal.many()
    verdict["to_drop"] = _to_drop(verdict, stage.room, faults)
    verdict["faults"] = [_told(one) for one in faults]
    verdict["passed"] = not faults
    write_json(verdict_path(pickle), verdict)
    return verdict


def _to_drop(verdict: dict[str, Any], room: Room, faults: Sequence[RehearsalFault]) -> list[str]:
    """The members without which a model would fit that took more time or memory than there is."""
    if verdict["estimate"] is None or not any(isinstance(one, PickleTimeError | PickleMemoryError) for one in faults):
        return []
    took = verdict["live"] or {}
    by_memory = any(isinstance(one, PickleMemoryError) for one in faults)
    return fewest_to_drop(
        verdict["estimate"],
        room,
        seconds=None if by_memory else max(took.get("seconds", 0.0), room.seconds * ENDED_ABOVE),
        memory_mb=max(took.get("peak_mb", 0.0), room.memory_mb * ENDED_ABOVE) if by_memory else None,
    )


def _reference(pickle: Path) -> Reference | None:
    path = reference_path(pickle)
    if not path.exists():
        return None
    found = Reference.read(path)
    if found.told.get("pickle_sha256") != file_sha256(pickle):
        raise ModelReferenceError(
            f"{path} is not of {pickle}, which has changed since it was exported", "export the model again"
        )
    return found


def _blank(pickle: Path, stage: Stage, reference: Reference | None) -> dict[str, Any]:
    return {
        "file": str(pickle),
        "sha256": file_sha256(pickle),
        "bytes": pickle.stat().st_size,
        "python": stage.pins.python,
        "pins": stage.pins.read,
        "where": stage.where,
        "room": {"memory_mb": stage.room.memory_mb, "seconds": stage.room.seconds},
        "estimate": None if reference is None else reference.told.get("estimate"),
        "run": None if reference is None else reference.told.get("run"),
        "grown": [],
        "to_drop": [],
        **dict.fromkeys(("no_network", "parts", "live", "many", "eras_that_fit", "validation", "modules", "trace")),
    }


@dataclass(frozen=True)
class _Rehearsal:
    """One rehearsal and what it has found so far, see `rehearse`."""

    pickle: Path
    stage: Stage
    reference: Reference | None
    folder: Path
    verdict: dict[str, Any]
    say: Callable[[str], None]

    def parts(self) -> list[RehearsalFault]:
        """Each part against its reference, in a process of its own: an era is measured without it."""
        self.say("each part against its reference")
        outcome = _confined(self.pickle, self.stage, self.folder / "parts", reference_path(self.pickle), [])
        self.verdict["parts"] = outcome.report.get("parts")
        return self._faults(outcome)

    def live(self) -> list[RehearsalFault]:
        """One live era, as the runtime calls the function."""
        stage = self.stage
        self.say(f"a live era of {stage.rows} rows by {stage.where}, Python {stage.pins.python}")
        outcome = self._run("live", eras=1)
        self.verdict.update({name: outcome.report.get(name) for name in ("no_network", "modules")})
        self.verdict["live"] = _figures(outcome)
        return self._faults(outcome)

    def many(self) -> list[RehearsalFault]:
        """Several eras in one call, twice as many each time, until `stage.eras` or what one call can take is reached.

        That so many do not fit is told and no fault: Numerai's validation comes in parts.
        """
        stage, verdict = self.stage, self.verdict
        eras: int | None = min(FIRST_ERAS, stage.eras)
        while eras is not None:
            self.say(f"{eras} eras at once")
            outcome = self._run(f"many-{eras}", eras=eras)
            figures = {**_figures(outcome), "eras": eras, "fits": outcome.ended_by is None}
            verdict["grown"].append(figures)
            if outcome.ended_by is not None:
                verdict["many"] = verdict["many"] or figures
                return []
            verdict["many"] = figures
            if found := faults_of(outcome, stage.room, stage.pins.python):
                return found
            verdict["eras_that_fit"] = fit = eras_that_fit(verdict["live"], figures, stage.room)
            verdict["validation"] = validation_needs(verdict["live"], figures, fit)
            eras = next_eras(eras, stage.eras, fit)
        return []

    def _run(self, name: str, *, eras: int) -> Outcome:
        """One process with one file."""
        folder = self.folder / name
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        features = None if self.reference is None else self.reference.told["features"]
        files = _files(self.stage, folder, features, eras)
        named = {**files, "name": f"{eras} era{'s' if eras > 1 else ''}", "at_once": eras > 1}
        return _confined(self.pickle, self.stage, folder, None, [named])

    def _faults(self, outcome: Outcome) -> list[RehearsalFault]:
        """Of a process whose error is the verdict's."""
        error = outcome.report["error"]
        self.verdict["trace"] = None if error is None else error["trace"]
        return faults_of(outcome, self.stage.room, self.stage.pins.python)


def _confined(
    pickle: Path, stage: Stage, folder: Path, reference: Path | None, files: Sequence[dict[str, Any]]
) -> Outcome:
    """One process; what it needs is put into its folder, the only one that a container sees."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "pickle": _beside(pickle, folder),
        "reference": None if reference is None else _beside(reference, folder),
        "files": list(files),
    }
    return run_confined(stage.command(folder, stage.room), spec, folder, stage.room, contained=stage.contained)


def _files(stage: Stage, folder: Path, names: Sequence[str] | None, eras: int) -> dict[str, str]:
    if stage.live is not None:
        beside = stage.live.with_name("live_benchmark_models.parquet")
        own = beside if beside.is_file() else stage.live
        return {"live": _beside(stage.live, folder), "benchmarks": _beside(own, folder)}
    if names is None:
        raise SettingsError(
            "nothing tells the features of this pickle: it has no reference beside it", "name a live file with --data"
        )
    return write_frames(folder, names, rows=stage.rows, eras=eras, width=stage.width)


def _beside(path: Path, folder: Path) -> str:
    place = folder / path.name
    if not place.exists():
        with storage_errors(place):
            try:
                os.link(path, place)
            except OSError:  # on another disk
                shutil.copyfile(path, place)
    return str(place)


def _figures(outcome: Outcome) -> dict[str, Any]:
    runs = outcome.report.get("runs") or [{}]
    kept = {name: runs[-1][name] for name in ("rows", "eras", "ties") if name in runs[-1]}
    seconds = round(outcome.seconds, 2)
    resident = round(outcome.report.get("peak_rss_mb", 0.0), 1)
    return {**kept, "seconds": seconds, "peak_mb": round(max(outcome.peak_mb, 0.0), 1), "peak_rss_mb": resident}


def _told(one: RehearsalFault) -> dict[str, str]:
    return {"code": one.code, "problem": one.problem, "remedy": one.remedy}

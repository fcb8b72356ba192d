"""The environment of a rehearsal: a Python with the libraries of Numerai's image, built by pip once and then kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from eraflow.disk.atomic import storage_errors, write_json, write_text
from eraflow.disk.locks import my_turn
from eraflow.errors import EraflowError
from eraflow.rehearsal.interpreters import find_interpreter
from eraflow.rehearsal.pins import Pins, pins_for
from eraflow.runs.reclaim import REHEARSALS

COMPLETE = "complete.json"
BUILDING = ".building"
BUILD_SECONDS = 3600
TOLD_LINES = 6
Say = Callable[[str], None]


class EnvironmentNotBuiltError(EraflowError):
    """The libraries of Numerai's image could not be installed. The text holds what pip said."""

    code = "environment_not_built"


def rehearsal_folder(home: Path) -> Path:
    """Where the environments of a home lie."""
    return home / REHEARSALS


def environment_python(pins: Pins, home: Path, say: Say) -> Path:
    """The interpreter of an environment with exactly these versions; it is built where it is not there yet.

    A build takes about a minute and 1.9 GB; pip uses the index that it is configured for.

    Raises:
        MissingInterpreterError: that Python is not on this computer.
        EnvironmentNotBuiltError: pip failed.
        StorageError: the disk is full, or may not be written.
    """
    place = rehearsal_folder(home) / f"{pins.python}-{pins.digest}"
    python = place / "bin" / "python"
    if (place / COMPLETE).is_file():
        (place / COMPLETE).touch()  # a cleaning goes by when it was used last
        return python
    with storage_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    with my_turn(place.with_name(f"{place.name}.lock")):
        if not (place / COMPLETE).is_file():
            say(f"installing the libraries of Numerai's image for Python {pins.python}: about a minute, 1.9 GB, once")
            _build(pins, place)
    return python


def built_python(python: str, folder: Path) -> Path | None:
    """The interpreter of an environment that is built already, of those in a folder; None where there is none."""
    place = folder / f"{python}-{pins_for(python, folder).digest}"
    return place / "bin" / "python" if (place / COMPLETE).is_file() else None


def _build(pins: Pins, place: Path) -> None:
    """Build beside its place and rename, so that a half one is never used."""
    interpreter = find_interpreter(pins.python)
    for left in place.parent.glob(f"{place.name}.*{BUILDING}"):  # of a build that was killed: this one has the lock
        shutil.rmtree(left, ignore_errors=True)
    building = place.with_name(f"{place.name}.{uuid.uuid4().hex[:8]}{BUILDING}")
    try:
        _run([str(interpreter), "-m", "venv", str(building)], pins)
        wanted = write_text(building / "requirements.txt", pins.requirements())
        python = str(building / "bin" / "python")
        _run([python, "-m", "pip", "install", "--quiet", "--no-input", "--requirement", str(wanted)], pins)
        write_json(building / COMPLETE, {"python": pins.python, "read": pins.read, "versions": pins.versions})
        with storage_errors(place):
            shutil.rmtree(place, ignore_errors=True)
            os.replace(building, place)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _run(command: list[str], pins: Pins) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    try:
        done = subprocess.run(
            command, env=kept, capture_output=True, text=True, errors="replace", timeout=BUILD_SECONDS, check=False
        )
        said, failed = done.stderr or done.stdout, done.returncode != 0
    except (OSError, subprocess.TimeoutExpired) as error:
        said, failed = str(error), True
    if failed:
        lines = [line for line in said.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise EnvironmentNotBuiltError(
            f"the environment for Python {pins.python} could not be built: {' | '.join(lines[-TOLD_LINES:])}",
            "let pip reach a package index (and let the interpreter have venv and pip), then run again",
        )

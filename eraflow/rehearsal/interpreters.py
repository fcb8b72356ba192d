"""The interpreter of a Python version on this computer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from eraflow.errors import EraflowError

ASK_SECONDS = 30
_QUESTION = "import sys; print('%d.%d' % sys.version_info[:2])"


class MissingInterpreterError(EraflowError):
    """A model is to be made or rehearsed for a Python that is not on this computer. The text names ways to get it."""

    code = "missing_interpreter"
    exit_code = 2


def find_interpreter(python: str) -> Path:
    """An interpreter of this version, such as 3.12: this process's own, on the PATH, of pyenv, or of uv.

    Raises:
        MissingInterpreterError: there is none.
    """
    for place in _places(python):
        if _version_of(place) == python:
            return place
    raise MissingInterpreterError(
        f"there is no Python {python} on this computer, and a model can only be put together by the Python it is for",
        f"install it (`uv python install {python}`, `pyenv install {python}`, `apt install python{python} "
        f"python{python}-venv`, conda, or python.org), or name another by --python",
    )


def _places(python: str) -> Iterator[Path]:
    yield Path(sys.base_prefix) / "bin" / f"python{python}"
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield Path(folder) / f"python{python}"
    for root in (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"):
        if root is not None:
            yield from sorted(Path(root).glob(f"versions/{python}.*/bin/python{python}"), reverse=True)
    if (uv := shutil.which("uv")) is not None and (found := _said([uv, "python", "find", python])):
        yield Path(found)


def _version_of(place: Path) -> str:
    """What an interpreter calls itself; a shim that stands for none says nothing."""
    return _said([str(place), "-I", "-c", _QUESTION]) if place.is_file() and os.access(place, os.X_OK) else ""


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

"""Where a result comes from: code, interpreter, libraries and hardware.

Nothing heavy is imported for it, and nothing in it can fail a stage: what cannot be found out is None.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from eraflow import kinds
from eraflow.machine.resources import probe

# The libraries whose version can change a prediction, a score or what was recorded of them.
LIBRARIES = (
    *kinds.LIBRARIES,
    "polars",
    "pyarrow",
    "pandas",
    "numpy",
    "scipy",
    "numerapi",
    "numerai-tools",
    "mlflow",
    "prefect",
)
GIT_SECONDS = 10


def provenance() -> dict[str, Any]:
    """What made a result, as plain JSON values.

    Returns:
        git_commit (40 hex digits or None), git_dirty (bool or None), python, platform, cpu (name of the model, or
        None), cores (usable by this process), ram_mb (MiB of the whole machine), gpus (names), libraries (name to
        version).
    """
    state = code_state()
    return {
        "git_commit": state["commit"] if state else None,
        "git_dirty": state["dirty"] if state else None,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **hardware(),
        "libraries": library_versions(),
    }


def hardware() -> dict[str, Any]:
    """cpu, cores, ram_mb and gpus, as `provenance` has them."""
    return {
        "cpu": _processor(),
        "cores": _cores(),
        "ram_mb": psutil.virtual_memory().total >> 20,
        "gpus": list(_gpus()),
    }


def library_versions() -> dict[str, str]:
    """The installed version of every library in `LIBRARIES` that is installed; none of them is imported."""
    return versions_of(LIBRARIES)


def versions_of(names: tuple[str, ...]) -> dict[str, str]:
    """The installed version of each of these libraries that is installed; none of them is imported."""
    return dict(_versions(names))


@lru_cache(maxsize=4)
def _versions(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = []
    for name in names:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def code_state() -> dict[str, Any] | None:
    """The git state of the checkout that holds this package, or None when it is installed outside one.

    A virtual environment often lies inside somebody else's checkout; so git must know this very file before its
    commit says anything about the code that runs.
    """
    here = Path(__file__).resolve()
    if _git(here.parent, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return git_state(here.parents[2])


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit checked out in `folder`, and whether tracked files differ from it.

    Returns:
        {"commit": str, "dirty": bool}, or None outside a checkout, before the first commit or without git.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(changed)}


def _git(folder: Path, *arguments: str) -> str | None:
    # A hook's GIT_DIR would name another repository; and reading must not take the lock that a commit may need.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@lru_cache(maxsize=1)
def _processor() -> str | None:
    """The name of the processor's model: floating point sums may differ between two."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # macOS has no such file
        return platform.processor() or None
    named = re.search(r"(?m)^model name\s*:\s*(.+)$", text)
    return named[1].strip() if named else platform.machine() or None


@lru_cache(maxsize=1)
def _gpus() -> tuple[str, ...]:
    """The names of the GPUs that this process may use; asked for once a process."""
    return tuple(gpu.name for gpu in probe().gpus)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

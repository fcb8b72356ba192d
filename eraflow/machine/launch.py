"""Starting the child of a stage: its description on disk, its environment, its process."""

from __future__ import annotations

import contextlib
import json
import os
import site
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from eraflow.disk.atomic import storage_errors, write_text
from eraflow.machine.credentials import without_credentials
from eraflow.machine.progress import ENVIRONMENT_FLAG
from eraflow.machine.threads import THREAD_VARIABLES


def prepare(place: Path, target: str, kwargs: Mapping[str, Any]) -> None:
    """The spec for the child; the result of an earlier attempt must not be taken for this one's."""
    spec = {"target": target, "kwargs": dict(kwargs), "parent": os.getpid(), "sys_path": sys.path}
    with storage_errors(place):
        (place / "out.json").unlink(missing_ok=True)
    write_text(place / "spec.json", json.dumps(spec, indent=2, sort_keys=True, default=os.fspath))
    head = f"--- {datetime.now(UTC).isoformat(timespec='seconds')} {target}\n"
    with storage_errors(place / "stage.log"), (place / "stage.log").open("ab") as file:
        file.write(head.encode())


def planned(kwargs: Mapping[str, Any], name: str, kind: type) -> Any:
    """A field of the plan among the arguments, when there is a plan and the field is of this type; else None."""
    plan = kwargs.get("plan")
    value = plan.get(name) if isinstance(plan, Mapping) else None
    return value if isinstance(value, kind) else None


def environment(threads: int | None, extra: Mapping[str, str]) -> dict[str, str]:
    """The child's environment: this process's without its keys, with what keeps libraries modest, `extra` on top."""
    values = {
        **without_credentials(os.environ),
        ENVIRONMENT_FLAG: "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # waiting OpenMP threads sleep; spinning ones slow a shared computer fivefold
        "MALLOC_ARENA_MAX": "2",  # glibc keeps an arena for each thread, and never gives back what they hold
        # CatBoost's own allocator gives back what was freed only after a while, and only whole segments of it: at 2.7
        # million rows its bins took 0.43 bytes more for each value than they have; so they take 0.01 more.
        "MIMALLOC_PURGE_DELAY": "0",
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


def start(place: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The child, in a session of its own."""
    # -P: the current folder is not searched for modules, so a file of the user's named json.py does no harm.
    return subprocess.Popen(
        [sys.executable, "-P", "-u", "-m", "eraflow.machine.child", str(place)],
        stdin=subprocess.PIPE,  # never written to; its end tells the child's guard that this process is gone
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(env),
        start_new_session=True,
    )


def output_of(process: subprocess.Popen[bytes]) -> IO[bytes]:
    """The pipe with everything that the child prints."""
    if process.stdout is None:
        raise RuntimeError("the child was started without a pipe for its output")
    return process.stdout


def let_go(process: subprocess.Popen[bytes]) -> None:
    """Close this side of the child's standard input."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def left_behind(place: Path) -> dict[str, Any] | None:
    """What the child left, or None: it is renamed into place whole, so a broken one is nobody's."""
    try:
        value = json.loads((place / "out.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and "ok" in value else None

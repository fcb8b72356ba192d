"""The process of one stage: `python -m eraflow.machine.child FOLDER`, started by `run_isolated` and by nobody else.

It imports nothing but the standard library and the few small modules named here until it loads the stage itself: no
Prefect, no pandas. It reads FOLDER/spec.json, calls the function named there and leaves FOLDER/out.json.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import json
import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_text
from eraflow.errors import EraflowError
from eraflow.machine.failures import classify
from eraflow.machine.processmark import STAGE_VARIABLE, kill_marked
from eraflow.machine.progress import send_progress

PR_SET_PDEATHSIG = 1  # prctl(2), linux/prctl.h
MAX_TRACEBACK = 20_000  # characters
PARENT_IS_GONE = 113


def main(folder: str) -> int:
    """Run the stage described in `folder`; the exit code is 0 when it returned and 1 when it raised."""
    place = Path(folder)
    spec = json.loads((place / "spec.json").read_text(encoding="utf-8"))
    if not _tie_to_parent(int(spec["parent"])):
        return PARENT_IS_GONE
    _guard_the_group()
    _be_the_first_to_go()
    faulthandler.enable()
    sys.path[:] = spec["sys_path"]
    level = os.environ.get("ERAFLOW_LOG_LEVEL", "INFO")
    logging.basicConfig(stream=sys.stdout, level=level, format="%(levelname)s %(name)s %(message)s")
    record = _call(spec["target"], spec["kwargs"])
    record["peak_rss_mb"] = _peak_rss_mb()
    _leave(record, place / "out.json")
    return 0 if record["ok"] else 1


def _tie_to_parent(parent: int) -> bool:
    """Die when the parent dies, even by SIGKILL. False when it has died already."""
    if sys.platform == "linux":
        # Fires when the parent's THREAD that started this process ends; `run_isolated` waits in that very thread.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.name != "posix" or os.getppid() == parent


def _guard_the_group() -> None:
    """Leave behind a small process that kills everything of this stage when the parent is gone.

    The signal above reaches this process only: what it started (worker processes of a library) would live on. The guard
    reads from the pipe whose other end only the parent holds; the end of the parent, however it comes, ends the read.
    """
    if not hasattr(os, "fork"):
        return
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    if os.fork() == 0:
        for stream in (1, 2):  # or the parent would wait for the end of this process's output
            os.dup2(nothing, stream)
        while os.read(pipe, 1):
            continue
        kill_marked(os.environ.get(STAGE_VARIABLE, str(os.getpid())))  # those that left the group
        os.killpg(0, signal.SIGKILL)
    os.close(pipe)
    os.close(nothing)


def _be_the_first_to_go() -> None:
    """Ask the kernel to pick this process, never the flow, when memory runs out; leave no core file of gigabytes."""
    with contextlib.suppress(OSError):  # not Linux, or not allowed: a wish, not a need
        Path("/proc/self/oom_score_adj").write_text("1000")
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _call(target: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    try:
        module, _, name = target.partition(":")
        function = getattr(importlib.import_module(module), name)
        value = json.loads(json.dumps(function(**kwargs), default=_plain))
    except BaseException as error:  # noqa: BLE001 - whatever it is, SystemExit included, the parent must hear of it
        return _failure(error)
    return {"ok": True, "value": value}


def _plain(value: Any) -> Any:
    """NumPy's figures and paths as JSON values; anything else is a mistake in the stage."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a stage returns JSON values; found {type(value).__module__}.{type(value).__qualname__}")


def _failure(error: BaseException) -> dict[str, Any]:
    record: dict[str, Any] = {
        "ok": False,
        "type": f"{type(error).__module__}:{type(error).__qualname__}",
        "kind": classify(error),
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error))[-MAX_TRACEBACK:],
    }
    if isinstance(error, EraflowError):
        record.update(problem=error.problem, remedy=error.remedy, attributes=_json_attributes(error))
    return record


def _json_attributes(error: EraflowError) -> dict[str, Any]:
    """What the error carries besides its texts, as far as JSON can hold it."""
    kept: dict[str, Any] = {}
    for name, value in vars(error).items():
        with contextlib.suppress(TypeError, ValueError):
            kept[name] = json.loads(json.dumps(value))
    return kept


def _peak_rss_mb() -> float:
    """Highest resident size of this process, MiB; 0 where procfs does not tell.

    Not getrusage: across fork and exec its figure begins with the size of the parent.
    """
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _leave(record: dict[str, Any], path: Path) -> None:
    """Write the record, whole or not at all; when the disk refuses, the pipe carries the reason."""
    try:
        write_text(path, json.dumps(record))
    except (EraflowError, OSError) as error:
        traceback.print_exc()
        send_progress("failure", _failure(error) if record["ok"] else record)
        record["ok"] = False


if __name__ == "__main__":
    code = main(sys.argv[1])
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)  # threads of a library that hang at the end must not hold the result back

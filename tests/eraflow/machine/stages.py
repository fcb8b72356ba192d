"""Stage functions for the tests of isolation: each lives or dies in its own way. Run in a child, never here."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from eraflow.errors import EraflowError
from eraflow.machine.failures import StageNaN
from eraflow.machine.progress import report


class ShopIsShutError(EraflowError):
    """A named error with something to carry."""

    code = "shop_is_shut"
    exit_code = 4

    def __init__(self, day: str) -> None:
        super().__init__(f"shut on {day}", "come back tomorrow")
        self.day = day


def add(a: int, b: int, path: str = "") -> dict:
    print("adding")
    logging.getLogger("library").info("heard")
    return {"sum": a + b, "path": path, "nan": float("nan")}


def environment(names: list[str], **_: object) -> dict:
    heavy = {"prefect", "pandas", "numpy", "pydantic", "psutil"} & set(sys.modules)
    return {"env": {name: os.environ.get(name) for name in names}, "heavy": sorted(heavy), "cwd": os.getcwd()}


def kernel_view() -> dict:
    return {
        "adjust": int(Path("/proc/self/oom_score_adj").read_text()),
        "session_leader": os.getsid(0) == os.getpid(),
        "stdin": sys.stdin.read(),
    }


def die(how: str) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "term":
        os.kill(os.getpid(), signal.SIGTERM)
    if how == "abort":
        os.abort()
    if how == "bad_alloc":
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
        os.abort()
    if how == "segfault":
        ctypes.string_at(0)
    if how == "openblas":
        print("OpenBLAS error: Memory allocation still failed after 10 retries, giving up.")
        os._exit(1)
    if how == "silent":
        os._exit(0)
    if how == "exit":
        sys.exit(3)


def end_at_first(folder: str, how: str, times: int) -> int:
    """End in such a way the first times; then how often it was begun."""
    with open(os.path.join(folder, "begun"), "a+", encoding="utf-8") as file:
        file.write("x")
        file.flush()
        file.seek(0)
        begun = len(file.read())
    if begun <= times:
        die(how)
    return begun


class LightGBMError(Exception):
    """Named as in the library, whose class this is not."""


def fail(how: str) -> None:
    print("before the fall")
    if how == "memory":
        raise MemoryError
    if how == "lightgbm":
        raise LightGBMError("std::bad_alloc")
    if how == "torch":
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    if how == "wrapped":
        try:
            raise MemoryError
        except MemoryError as error:
            raise RuntimeError("fit failed") from error
    if how == "float":
        raise FloatingPointError("invalid value encountered in divide")
    if how == "nan":
        raise StageNaN("loss is NaN at epoch 3", "lower the rate")
    if how == "named":
        raise ShopIsShutError("Monday")
    if how == "local":

        class HiddenError(EraflowError):
            """Cannot be imported by name."""

        raise HiddenError("nowhere", "look elsewhere")
    raise KeyError("no such column")


def not_json() -> object:
    return object()


def sleep(seconds: float, note: str = "") -> str:
    if note:
        Path(note).write_text(str(os.getpid()))
    time.sleep(seconds)
    return "rested"


def allocate(mb: int, seconds: float = 0.0) -> int:
    block = bytearray(mb * 1024 * 1024)
    block[::4096] = b"\x01" * len(block[::4096])
    time.sleep(seconds)
    return len(block)


def allocate_numpy(mb: int) -> float:
    import numpy as np

    block = np.ones((mb, 131_072))  # 1 MiB a row
    time.sleep(30)
    return float(block.sum())


def allocate_in_grandchild(mb: int) -> None:
    code = f"import time; block = bytearray({mb} * 2**20); block[::4096] = b'1' * len(block[::4096]); time.sleep(30)"
    subprocess.run([sys.executable, "-c", code], check=False)


def read_mapped(path: str) -> int:
    import mmap

    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        total = sum(mapped[i] for i in range(0, len(mapped), 4096))
        time.sleep(0.3)
        return total


def leave_orphans(folder: str, seconds: float = 0.0) -> None:
    """One in this session, one in a session of its own; both would live for a minute."""
    for name, own_session in (("same", False), ("own", True)):
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=own_session)
        (Path(folder) / f"{name}.pid").write_text(str(other.pid))
    time.sleep(max(seconds, 0.4))


def count_up(total: int, pause: float) -> None:
    for i in range(total + 1):
        report(i, total, "folds")
        time.sleep(pause)


def noisy(lines: int) -> None:
    sys.stdout.write("10%\r20%\r")
    report(1, 1, "bar")
    for i in range(lines):
        print(f"line {i} " + "x" * 100)
    sys.stdout.write("no end")


def full_disk(folder: str) -> dict:
    """The place of the result is taken by a folder, so that it cannot be renamed there."""
    (Path(folder) / "out.json").mkdir()
    (Path(folder) / "out.json" / "x").write_text("")
    return {}


def train_a_little(steps: int, pause: float = 0.0) -> None:
    """Marks of a training: two fits, the second one diverges at its end."""
    from eraflow.machine.progress import send_progress

    for _ in range(2):
        for step in range(1, steps + 1):
            send_progress("training", {"step": step, "loss": 1 / step, "grad_norm": None, "rate": 0.1})
            time.sleep(pause)
    send_progress("training", {"step": steps + 1, "loss": "nan", "grad_norm": "inf", "rate": 0.1})


def sleep_with_plan(seconds: float, note: str, plan: dict[str, object]) -> str:
    return sleep(seconds, note)

"""A piece of a benchmark in a fresh process, with what it took."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.measured import peak_mib


def in_child(work: Callable[..., Any], *given: Any, **named: Any) -> tuple[Any, float, float]:
    """The result of `work` in a fresh process (polars' threads do not survive a fork), its CPU seconds and peak MiB."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_work_and_tell, args=(there, work, given, named))
    child.start()
    there.close()
    try:
        told = here.recv()
    except EOFError:
        raise SystemExit(f"{work.__name__} died in its process; what it said stands above") from None
    child.join()
    return told


def _work_and_tell(pipe: Connection, work: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> None:
    began = time.process_time()
    result = work(*given, **named)
    pipe.send((result, time.process_time() - began, peak_mib()))

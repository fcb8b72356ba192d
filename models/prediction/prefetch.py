"""Reading the next tile while the present one is predicted, where that is seen to pay."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

Prefetch = Literal["auto", "on", "off"]
T = TypeVar("T")

LOOK_TILES = 6
"""Tiles that are read in turn before it is decided."""
LEAST_SHARE = 0.1
"""Of the time, that reading and predicting must each take: the gain is never more than the smaller one."""
LEAST_IDLE = 0.25
"""Of the cores, that must be idle while reading or predicting: on busy ones the two only slow each other down."""
WAIT_SECONDS = 0.2


def prefetched(tiles: Iterator[T], mode: Prefetch, cores: int) -> Iterator[T]:
    """The same items in the same order; "on" reads one ahead in a thread, "auto" measures the first and decides.

    Where polars and the booster each keep all cores busy there is little to gain; unpacking gzip or xz keeps one busy.
    Errors of the reading come out where the item would have.
    """
    if mode == "auto" and cores > 1:
        meter = _Meter(cores)
        yield from meter.watched(tiles)
        mode = "on" if meter.pays() else "off"
    yield from _ahead(tiles) if mode == "on" else tiles


class _Meter:
    """Shares of reading and predicting, and how busy the cores are, over the first tiles."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self.reading = self.using = self.busy = 0.0

    def watched(self, tiles: Iterator[T]) -> Iterator[T]:
        """The first tiles. The very first is not measured: libraries and caches wake up in it."""
        for number in range(1 + LOOK_TILES):
            before, cpu = time.perf_counter(), _cpu_seconds()
            item = next(tiles, None)
            after = time.perf_counter()
            if item is None:
                return
            yield item
            if number:
                self.reading += after - before
                self.using += time.perf_counter() - after
                self.busy += _cpu_seconds() - cpu

    def pays(self) -> bool:
        """Whether reading ahead can gain a tenth or more."""
        wall = self.reading + self.using
        if wall <= 0:
            return False
        idle = 1 - self.busy / (wall * self._cores)
        return min(self.reading, self.using) / wall >= LEAST_SHARE and idle >= LEAST_IDLE


def _cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system


def _ahead(items: Iterator[T]) -> Iterator[T]:
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=1)
    stopped = threading.Event()

    def put(kind: str, content: Any) -> None:
        while not stopped.is_set():
            try:
                waiting.put((kind, content), timeout=WAIT_SECONDS)
                return
            except queue.Full:
                continue

    def read() -> None:
        try:
            for item in items:
                put("item", item)
                if stopped.is_set():
                    return
            put("end", None)
        except BaseException as error:  # noqa: BLE001 - it is raised again by the one who waits for the item
            put("error", error)

    thread = threading.Thread(target=read, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, content = waiting.get()
            if kind == "error":
                raise content
            if kind == "end":
                return
            yield content
    finally:
        stopped.set()
        thread.join()

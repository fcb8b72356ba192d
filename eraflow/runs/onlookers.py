"""Events of a run's steps, for observers in the same process such as the live view of the terminal.

Steps tell what happens to them; nobody has to listen, and one that fails is left out: a view must not cost a stage.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

StepState = Literal["running", "kept", "finished", "failed"]
IN_NEWS = "in_news"
"""Attribute of a line of the log that says what the news say too, and say newer."""


@dataclass(frozen=True)
class News:
    """What happened to a step.

    Attributes:
        step: a stage, or another step whose time is noted, such as the download.
        state: `kept`: it was finished before this run.
        fraction: done part, 0 to 1; None: nothing new of it.
        label: what is being done.
        seconds_left: of this step; None where it is not known.
        memory_mb: what it uses now, or for one that ended used at most, MiB; None: nothing new of it.
        budget_mb: what the step may use now, MiB.
        seconds: of work in a step that ended, those of an earlier run for one that was kept.
    """

    step: str
    state: StepState = "running"
    fraction: float | None = None
    label: str = ""
    seconds_left: float | None = None
    memory_mb: float | None = None
    budget_mb: float | None = None
    seconds: float | None = None


log = logging.getLogger("eraflow.runs.onlookers")
_onlookers: list[Callable[[News], None]] = []


def tell(news: News) -> None:
    """Pass news on to everybody who looks on."""
    for onlooker in list(_onlookers):
        try:
            onlooker(news)
        except Exception as error:  # noqa: BLE001 - see above
            stop(onlooker)
            log.warning("the view of this run has ended: %s: %s", type(error).__name__, error)


def stop(onlooker: Callable[[News], None]) -> None:
    """Tell this one nothing more."""
    with contextlib.suppress(ValueError):
        _onlookers.remove(onlooker)


@contextlib.contextmanager
def looking_on(onlooker: Callable[[News], None]) -> Iterator[None]:
    """Be told everything while the block runs. The calls come from several threads."""
    _onlookers.append(onlooker)
    try:
        yield
    finally:
        stop(onlooker)


class ReportedCeiling:
    """A stage's memory ceiling that tells what the stage uses whenever it is asked.

    Args:
        step: the stage.
        ceiling_mb: the ceiling itself, given what the stage uses, MiB.
    """

    def __init__(self, step: str, ceiling_mb: Callable[[float], float]) -> None:
        self._step, self._ceiling_mb = step, ceiling_mb

    def ceiling_mb(self, used_mb: float) -> float:
        """The ceiling now."""
        ceiling = self._ceiling_mb(used_mb)
        tell(News(self._step, memory_mb=used_mb, budget_mb=ceiling))
        return ceiling

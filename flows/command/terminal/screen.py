"""The live view of a run in a terminal: its steps, the time left in all, memory against the budget, the newest line.

It is drawn below whatever the terminal shows and taken away at the end, when the summary takes its place. The cursor
stays visible and no key is taken, so that a view whose process was killed leaves nothing to be repaired.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, Group, OverflowMethod, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from eraflow.machine.progress import readable_seconds
from eraflow.runs.onlookers import News, StepState
from flows.command.terminal.pace import Pace

TICK_SECONDS = 0.25
NAME_WIDTH = 26
SIGNS = {"waiting": "·", "running": "▸", "kept": "✓", "finished": "✓", "failed": "✗"}
PLAIN_SIGNS = {"waiting": ".", "running": ">", "kept": "=", "finished": "+", "failed": "x"}
STYLES = {"waiting": "dim", "running": "bold", "kept": "green", "finished": "green", "failed": "red"}


@dataclass
class Step:
    """What is known of a step."""

    state: StepState | None = None
    fraction: float = 0.0
    label: str = ""
    own_left: float | None = None
    told_at: float = 0.0
    began: float = 0.0
    seconds: float | None = None
    memory_mb: float | None = None
    budget_mb: float | None = None

    def left(self, now: float) -> float | None:
        """Its own estimate, which grows old between two pieces of news."""
        if self.state != "running":
            return 0.0 if self.state is not None else None
        return None if self.own_left is None else max(self.own_left - (now - self.told_at), 0.0)


class Screen:
    """The view. It takes news and lines of the log from any thread, and draws itself four times a second.

    Args:
        title: what is run.
        steps: those that are planned, in order; others are added where they come.
        pace: knows how long steps take.
        notes: lines that stay at the bottom, such as where the log lies.
        console: where to draw; the terminal behind stderr by default.
    """

    def __init__(
        self,
        title: str,
        steps: list[str],
        pace: Pace,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = console or Console(stderr=True, emoji=False, highlight=False, markup=False)
        self.title, self._pace, self._clock = title, pace, clock
        self._steps = {name: Step() for name in steps}
        self._notes: dict[str, str] = {}
        self._now = ""
        self._began = clock()
        self._lock = threading.RLock()
        self._done = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="screen", daemon=True)
        self._live = self._new_live()
        self._width = self.console.width

    def _new_live(self) -> Live:
        return Live(
            get_renderable=self.render,
            console=self.console,
            auto_refresh=False,
            transient=True,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Screen:
        self._start()
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the view away; calling it again does nothing."""
        self._done.set()
        if self._lock.acquire(timeout=1.0):  # a handler of Ctrl-C may interrupt this very thread, or a drawing one
            try:
                self._live.stop()
            finally:
                self._lock.release()

    def _start(self) -> None:
        self._live.start(refresh=True)
        self.console.show_cursor(True)

    def _tick(self) -> None:
        while not self._done.wait(TICK_SECONDS):
            with self._lock:
                if self._done.is_set():
                    return
                if self.console.width != self._width:  # the terminal has broken the lines anew: draw on a clean screen
                    self._width = self.console.width
                    self._live.stop()
                    self.console.clear()
                    self._live = self._new_live()
                    self._start()
                self._live.refresh()

    def note(self, name: str, text: str) -> None:
        """A line that stays at the bottom."""
        with self._lock:
            self._notes[name] = text

    def say(self, line: str, *, above: bool = False) -> None:
        """The newest line of the log; what matters is also printed above the view, where it stays."""
        with self._lock:
            self._now = line.splitlines()[0] if line.strip() else self._now
            if above and not self._done.is_set():
                self.console.print(Text(line), soft_wrap=False)

    def news(self, news: News) -> None:
        """What happened to a step."""
        with self._lock:
            now = self._clock()
            step = self._steps.setdefault(news.step, Step())
            if news.state == "running" and step.state != "running":
                step.began, step.own_left, step.fraction = now, None, 0.0
                self._now = news.step
            step.state = news.state
            step.label = news.label or step.label
            if news.fraction is not None:
                step.fraction, step.own_left, step.told_at = news.fraction, news.seconds_left, now
            step.memory_mb = news.memory_mb if news.memory_mb is not None else step.memory_mb
            step.budget_mb = news.budget_mb if news.budget_mb is not None else step.budget_mb
            if news.seconds is not None:
                step.seconds = news.seconds
                if news.state == "finished":
                    self._pace.learn(news.step, news.seconds)

    def render(self) -> RenderableType:
        """The view, never higher or wider than the terminal."""
        with self._lock:
            foot = [*self._whole(), *self._memory(), *self._lines()]
            room = self.console.height - len(foot) - 4
            return Group(Text(""), self._cut(Text(self.title, "bold")), self._table(max(room, 1)), *foot)

    def seconds_left(self) -> float | None:
        """Of the whole run."""
        now = self._clock()
        open_steps = [
            (name, None if step.state is None else now - step.began, step.left(now))
            for name, step in self._steps.items()
            if step.state in (None, "running", "failed")
        ]
        return self._pace.seconds_left([each for each in open_steps if self._steps[each[0]].state != "failed"])

    @property
    def _overflow(self) -> OverflowMethod:
        return "crop" if self.console.options.ascii_only else "ellipsis"

    def _cut(self, text: Text) -> Text:
        text.no_wrap, text.overflow = True, self._overflow
        return text

    def _sign(self, step: Step) -> Text:
        signs = PLAIN_SIGNS if self.console.options.ascii_only else SIGNS
        state = step.state or "waiting"
        return Text(signs[state], STYLES[state])

    def _table(self, room: int) -> Table:
        """A row a step; the finished ones and those to come are counted where there is no room for all."""
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        longest = max((len(name) for name in self._steps), default=0)
        table.add_column(
            width=min(longest, NAME_WIDTH, max(self.console.width // 3, 8)), no_wrap=True, overflow=self._overflow
        )
        table.add_column(ratio=2, no_wrap=True, overflow=self._overflow)
        table.add_column(ratio=3, no_wrap=True, overflow=self._overflow)
        for name, step in self._chosen(room):
            table.add_row(self._sign(step), Text(name, STYLES[step.state or "waiting"]), *self._told(step))
        return table

    def _chosen(self, room: int) -> list[tuple[str, Step]]:
        rows = list(self._steps.items())
        at = next((at for at, (_, step) in enumerate(rows) if step.state == "running"), 0)
        if len(rows) <= room:
            return rows
        if room < 3:
            return rows[at : at + 1]
        first = min(max(at - (room - 2) // 3, 0), max(len(rows) - room + 1, 0))
        last = min(first + max(room - 2, 1), len(rows))
        counted = [(f"{first} steps before", Step("finished"))] if first else []
        shown = [*counted, *rows[first:last]]
        return [*shown, (f"{len(rows) - last} steps to come", Step())] if last < len(rows) else shown

    def _told(self, step: Step) -> tuple[RenderableType, RenderableType]:
        if step.state == "running":
            left = step.left(self._clock())
            words = f"{step.fraction:.0%}" + ("" if left is None else f", {readable_seconds(left)} left")
            bar = self._bar(step.fraction) if step.fraction else Text("at work", "dim")
            return bar, self._cut(Text.assemble(words if step.fraction else "", "  ", (step.label, "dim")))
        if step.state is None:
            return Text(""), Text("")
        if step.state == "failed":
            return Text(step.label, "red"), Text("")
        seconds = "" if step.seconds is None else readable_seconds(step.seconds)
        memory = "" if step.memory_mb is None else f"{step.memory_mb:,.0f} MiB"
        kept = "kept from before" if step.state == "kept" else ""
        return Text(f"{seconds:>9}", "dim"), Text(f"{memory}  {kept}".rstrip(), "dim")

    def _bar(self, fraction: float) -> ProgressBar:
        return ProgressBar(total=1.0, completed=fraction, complete_style="cyan", finished_style="cyan")

    def _row(self, name: str, fraction: float, words: str) -> Table:
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=9)
        table.add_column(ratio=2, no_wrap=True, overflow=self._overflow)
        table.add_column(ratio=3, no_wrap=True, overflow=self._overflow)
        table.add_row(Text(name), self._bar(fraction), self._cut(Text(words)))
        return table

    def _whole(self) -> list[RenderableType]:
        spent, left = self._clock() - self._began, self.seconds_left()
        words = f"{readable_seconds(spent)} so far"
        if left is None:
            return [Text(""), self._row("whole run", 0.0, f"{words}; the rest is not known yet")]
        return [
            Text(""),
            self._row("whole run", spent / (spent + left or 1.0), f"{words}, {readable_seconds(left)} left"),
        ]

    def _memory(self) -> list[RenderableType]:
        at_work = [step for step in self._steps.values() if step.state == "running" and step.budget_mb]
        if not at_work:
            return []
        used = sum(step.memory_mb or 0.0 for step in at_work)
        budget = max(step.budget_mb or 0.0 for step in at_work)
        return [self._row("memory", min(used / budget, 1.0), f"{used:,.0f} of {budget:,.0f} MiB")]

    def _lines(self) -> list[RenderableType]:
        notes = {**({"now": self._now} if self._now else {}), **self._notes}
        return [self._cut(Text.assemble((f"{name:<10}", "dim"), text)) for name, text in notes.items()]


def wants_a_view(*, json: bool, verbose: bool) -> bool:
    """Whether stderr is a terminal that can be drawn on, and lines are not asked for."""
    console = Console(stderr=True)
    return sys.stderr.isatty() and not console.is_dumb_terminal and not json and not verbose

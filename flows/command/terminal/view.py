"""What a person sees of a run while it lasts: the live view in a terminal, plain lines everywhere else."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eraflow.runs.onlookers import IN_NEWS, looking_on
from eraflow.settings.run import RunSettings
from flows.command.terminal.outputs import complain
from flows.command.terminal.pace import Pace, earlier_seconds, planned_steps
from flows.command.terminal.runlog import RUN_LOG, matters, says_something
from flows.command.terminal.screen import Screen, wants_a_view

FLOW_WORDS = {"weekly": "a week", "daily": "a round with the champion", "research": "a search for parameters"}

INTERRUPTED = "what runs is ended; Ctrl-C once more leaves at once"


class Lines:
    """Plain lines on stderr, for a pipe, a timer, a dumb terminal, or where they were asked for."""

    show: Callable[[logging.LogRecord], None] | None = None
    """Takes the lines of the log; None: they go to stderr."""

    def note(self, name: str, text: str) -> None:
        """Something that is worth knowing from the start."""
        print(f"{name} {text}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """What is being done."""
        complain(text)

    def warn(self, text: str) -> None:
        """What a person should still see when the run has ended."""
        self.say(text)

    def interrupted(self) -> None:
        """Called by the handler of a signal, which may have interrupted a write to stderr itself."""
        os.write(2, f"eraflow: {INTERRUPTED}\n".encode())

    def close(self) -> None:
        """Nothing is to be taken away."""


class Drawn(Lines):
    """The live view."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.show = self._record

    def note(self, name: str, text: str) -> None:
        """A line that stays at the bottom of the view."""
        self._screen.note(name.split()[0], text)

    def say(self, text: str) -> None:
        """The newest line."""
        self._screen.say(text)

    def warn(self, text: str) -> None:
        """Printed above the view."""
        self._screen.say(text, above=True)

    def interrupted(self) -> None:
        """The newest line says it."""
        self._screen.say(INTERRUPTED)

    def close(self) -> None:
        """Take the view away."""
        self._screen.close()

    def _record(self, record: logging.LogRecord) -> None:
        if not says_something(record) or getattr(record, IN_NEWS, False):  # the row of the step has it, and newer
            return
        words = record.getMessage()
        if record.levelno >= logging.WARNING:
            words = f"{record.levelname} {words}"
        self._screen.say(words, above=matters(record))


@contextmanager
def view_of(flow_name: str, settings: RunSettings, run_dir: Path, arguments: argparse.Namespace) -> Iterator[Lines]:
    """The view of a run, until the block ends."""
    if not wants_a_view(json=arguments.json, verbose=getattr(arguments, "verbose", False)):
        lines = Lines()
        lines.note("run folder", str(run_dir))
        yield lines
        return
    screen = Screen(title(flow_name, settings), planned_steps(flow_name, settings), Pace(earlier_seconds(settings)))
    screen.note("log", str(run_dir / RUN_LOG))
    with screen, looking_on(screen.news):
        yield Drawn(screen)


def title(flow_name: str, settings: RunSettings) -> str:
    """What is run, on which data: one line."""
    words = [f"Eraflow: {FLOW_WORDS.get(flow_name, flow_name)}", f"profile {settings.profile}", settings.data.target]
    words += [source_words(settings), *(["dry run"] if settings.submit.dry_run else [])]
    return ", ".join(words)


def source_words(settings: RunSettings) -> str:
    """Where the data come from."""
    source = settings.source
    if source.kind == "numerai":
        return "data from Numerai"
    if source.data_dir is not None:
        return f"data in {source.data_dir}"
    return f"the sandbox at {source.url}" if source.url else "generated data"

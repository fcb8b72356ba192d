"""Reading a child's output without ever blocking the child for long or losing a line."""

from __future__ import annotations

import json
import os
import queue
import re
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from eraflow.machine.progress import MARK

TAIL_LINES = 50
MAX_LINE = 8_192  # bytes; a longer line is cut in pieces
LONGEST_LOG_BYTES = 32 << 20  # a library that writes a line a millisecond must not fill the disk
OLDER = ".older"
MAX_WAITING = 10_000  # lines; then the child waits until the log has caught up
_LINE_END = re.compile(rb"[\r\n]+")  # progress bars of libraries end their lines with a bare carriage return

Mark = tuple[str, Any]


class OutputReader(threading.Thread):
    """Reads a pipe to its end: each line goes to a file at once and waits in a queue for the parent's own thread.

    Attributes:
        tail: the last lines, without marks.
        failure: a failure record that came through the pipe because the disk refused it, or None.
    """

    def __init__(self, stream: IO[bytes], log_file: Path) -> None:
        super().__init__(name="stage-output", daemon=True)
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.failure: dict[str, Any] | None = None
        self._stream = stream
        self._file = log_file
        self._queue: queue.Queue[str | Mark] = queue.Queue(MAX_WAITING)
        self._abandoned = threading.Event()

    def run(self) -> None:
        """Read until the last process that holds the other end is gone."""
        with self._stream, ExitStack() as files:
            file: IO[bytes] = files.enter_context(self._file.open("ab", buffering=0))
            for line in self._lines():
                text, mark = _split(line)
                if text and file.tell() > LONGEST_LOG_BYTES:
                    file = self._begun_anew(files, file)
                if text:
                    self._keep(file, text)
                    self._offer(text)
                if mark is not None and mark[0] == "failure":
                    self.failure = mark[1]
                elif mark is not None:
                    self._offer(mark)

    def waiting(self) -> Iterator[str | Mark]:
        """Lines and marks that have come since the last call."""
        while True:
            try:
                yield self._queue.get_nowait()
            except queue.Empty:
                return

    def abandon(self) -> None:
        """Nobody takes lines any more: read on, write the file, queue nothing."""
        self._abandoned.set()

    def _begun_anew(self, files: ExitStack, file: IO[bytes]) -> IO[bytes]:
        """The log goes on in a new file, the full one stays beside it; an older one makes room."""
        try:
            os.replace(self._file, self._file.with_name(self._file.name + OLDER))
            return files.enter_context(self._file.open("ab", buffering=0))
        except OSError:  # go on in the one there is
            return file

    def _keep(self, file: IO[bytes], text: str) -> None:
        self.tail.append(text)
        try:
            file.write(text.encode("utf-8", "replace") + b"\n")
        except OSError:  # a full disk must not stop the reading; the lines still reach the log
            self.tail.append(f"({self._file} cannot be written)")

    def _offer(self, item: str | Mark) -> None:
        while not self._abandoned.is_set():
            try:
                self._queue.put(item, timeout=0.5)
            except queue.Full:
                continue
            return

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        while True:
            chunk = os.read(self._stream.fileno(), 65_536)
            *whole, rest = _LINE_END.split(rest + chunk)
            yield from whole
            while len(rest) > MAX_LINE:
                yield rest[:MAX_LINE]
                rest = rest[MAX_LINE:]
            if not chunk:
                if rest:
                    yield rest
                return


def _split(line: bytes) -> tuple[str, Mark | None]:
    """A line's own text and the mark at its end, if there is one (a bar without a line end may stand before it)."""
    text, found, marked = line.decode("utf-8", "replace").partition(MARK)
    if not found:
        return text.rstrip(), None
    name, _, content = marked.partition(" ")
    try:
        return text.rstrip(), (name, json.loads(content))
    except ValueError:  # not ours after all
        return f"{text}{marked}".rstrip(), None

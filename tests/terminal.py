"""A real pseudo-terminal for tests: a command runs on it, and its screen is read as a person would see it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pyte


class Terminal:
    """A command on a pseudo-terminal of `columns` x `lines`.

    Attributes:
        screen: what is seen now; `screen.cursor.hidden` tells whether the cursor is.
        raw: every byte that was written.
    """

    def __init__(self, command, columns=80, lines=24, cwd=None, **environment):
        self.screen = pyte.HistoryScreen(columns, lines, history=5000, ratio=1.0)
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self._ours, theirs = pty.openpty()
        self._size(columns, lines)
        env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
        env.update({"TERM": "xterm-256color", **environment})
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env=env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C on it reaches the command
        )
        os.close(theirs)

    def _size(self, columns, lines):
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        """Another size of the window; the foreground processes are told by the kernel."""
        self._size(columns, lines)
        self.screen.resize(lines, columns)

    def type(self, text):
        """Press keys; `\\x03` is Ctrl-C."""
        os.write(self._ours, text.encode())

    def read(self, seconds):
        """Take what is written within `seconds`; False once nobody can write any more."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._ours], [], [], left)[0]:
                break
            try:
                chunk = os.read(self._ours, 65536)
            except OSError:  # EIO: the last process on the terminal is gone
                return False
            if not chunk:
                return False
            self.raw += chunk
            self._stream.feed(chunk)
        return True

    def wait_for(self, text, seconds):
        """Read until `text` is on the screen or in what scrolled off it; the seconds since the start."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if text in self.text():
                return time.monotonic() - self.began
            if not self.read(0.1):
                break
        assert text in self.text(), self.text()[-4000:]
        return time.monotonic() - self.began

    def end(self, seconds=60):
        """Read until the command has ended; its exit code."""
        limit = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < limit:
            self.read(0.1)
        while self.read(0.2):
            if time.monotonic() > limit:
                break
        code = self.process.wait(max(0.1, limit - time.monotonic()))
        os.close(self._ours)
        return code

    def kill(self):
        """End it whatever it does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def lines(self):
        """Every line: those that scrolled off, and the screen."""
        gone = ["".join(row[column].data for column in range(self.screen.columns)) for row in self.screen.history.top]
        return [line.rstrip() for line in [*gone, *self.screen.display]]

    def text(self):
        """All lines as one text."""
        return "\n".join(self.lines())

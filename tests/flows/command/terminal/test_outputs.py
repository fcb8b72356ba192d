"""Readers that leave early, closed outputs, full disks behind them, and Ctrl-C before anything has begun."""

import io
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.command.doctor.examine import FOUND_AT, Finding
from flows.command.terminal.outputs import complain, say, tell
from flows.command.verbs.submit import StderrHandler
from tests.eraflow.scoring.test_compare import ERAS, backtested

ROOT = Path(__file__).parents[4]
COMMAND = [sys.executable, "-m", "flows.command.entry"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose comparison prints more than a pipe holds."""
    series = {f"model-{number}": [0.01 + number / 10_000] * len(ERAS) for number in range(900)}
    return backtested(tmp_path_factory.mktemp("many") / "run", series)


def through(pipe, *arguments, tail=""):
    """A command line of bash; the exit code of the command itself and everything on stderr."""
    line = " ".join(map(str, [*COMMAND, *arguments])) + f" {pipe}; echo ${{PIPESTATUS[0]}} >&2"
    done = subprocess.run(
        ["bash", "-c", line + tail], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    *told, code = done.stderr.splitlines()
    return int(code), "\n".join(told)


@pytest.mark.parametrize("reader", ["| head -1", "| true", ">&-"])
def test_a_reader_that_leaves_changes_neither_exit_code_nor_stderr(run, reader):
    assert through(reader, "compare", run) == (0, "")


def test_an_error_keeps_its_exit_code_though_nobody_reads_it(tmp_path):
    code, _ = through("2>&1 | true", "compare", tmp_path, "--json")
    assert code == 2
    assert through("2>&-", "compare", tmp_path / "none") == (2, "")


def test_help_may_be_cut():
    assert through("| head -1", "run", "--help") == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_cannot_be_written_is_a_named_error(run):
    code, told = through("> /dev/full", "compare", run)
    assert code == 1
    assert told.startswith("eraflow: output: the output cannot be written: No space left")


def test_ctrl_c_while_everything_is_still_imported_is_exit_code_130_without_a_traceback():
    """A library that is slow to import, and an impatient person."""
    slow = "import sys, time; print('here', flush=True)\nwhile 'flows.command.cli' not in sys.modules: time.sleep(10)"
    code = (
        "import builtins, sys\n"
        "from flows.command.entry import main\n"
        "real = builtins.__import__\n"
        "def slowly(name, *rest):\n"
        f"    if name == 'flows.command.cli': exec({slow!r})\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = slowly\n"
        "sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "here\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (130, "eraflow: interrupted\n")


class Screen(io.StringIO):
    """A terminal that remembers."""

    def isatty(self):
        return True


WORDS = st.lists(st.text("abc/-.:'", min_size=1, max_size=40), min_size=1, max_size=30).map(" ".join)


@pytest.mark.parametrize(
    "way",
    [
        tell,
        complain,
        say,
        lambda text: StderrHandler().emit(logging.makeLogRecord({"msg": text})),
        lambda text: say(Finding("a", "ok", text, text).line(), FOUND_AT),
    ],
)
@given(text=WORDS)
def test_on_a_terminal_no_word_is_broken_and_no_line_too_long(way, text):
    with pytest.MonkeyPatch.context() as patch:
        screen = Screen()
        patch.setattr(sys, "stdout", screen)
        patch.setattr(sys, "stderr", screen)
        patch.setenv("COLUMNS", "80")
        way(text)
    told = screen.getvalue()
    assert " ".join(text.split()) in " ".join(told.split())
    assert max(map(len, told.splitlines())) <= 80

"""Runs of one home at the sandbox: what sends nothing disturbs nobody, and who sends takes turns."""

import logging
import threading
import time

import pytest

from tasks import tournament
from tasks.run import Run
from tests.weeks import tiny


@pytest.fixture
def log(monkeypatch):
    logger = logging.getLogger("tested")
    monkeypatch.setattr(tournament, "run_log", lambda: logger)


@pytest.mark.parametrize("case", ["a dry run", "a flow that never sends"])
def test_a_run_that_sends_nothing_has_a_state_of_its_own(tmp_path, log, case):
    run = Run(tiny(tmp_path, submit={"dry_run": case == "a dry run"}), tmp_path / "run")
    shared = tmp_path / "state"
    sender = Run(tiny(tmp_path), tmp_path / "other")
    with (
        tournament._state_of(sender, shared, sends=True) as theirs,
        tournament._state_of(run, shared, sends=case == "a dry run") as own,
    ):
        assert theirs == shared
        assert own == run.path / "sandbox"


def test_the_second_that_sends_waits_and_says_so(tmp_path, log, caplog):
    order = []

    def second():
        with tournament._state_of(Run(tiny(tmp_path), tmp_path / "b"), tmp_path / "state", sends=True):
            order.append("second")

    with tournament._state_of(Run(tiny(tmp_path), tmp_path / "a"), tmp_path / "state", sends=True):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.6)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert "another run sends" in caplog.text

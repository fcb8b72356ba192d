"""Work in a child that is no stage: killed by somebody, it is done again; asked to end, it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from eraflow.machine.apart import KILLED_TRIES, again_if_killed
from eraflow.machine.failures import StageCrashed, StageKilled
from tests.eraflow.machine.isolated import isolated


def worked(folder: Path, told: list[str], how: str, times: int):
    """The outcome of a child that ends in such a way so many times, and then gives its number of beginnings."""
    kwargs = {"folder": str(folder), "how": how, "times": times}
    return again_if_killed(lambda: isolated("end_at_first", folder, kwargs=kwargs), told.append)


def test_killed_work_is_done_again_and_told(tmp_path):
    told: list[str] = []
    assert worked(tmp_path, told, "kill", KILLED_TRIES - 1).value == KILLED_TRIES
    assert len(told) == KILLED_TRIES - 1
    assert all("was killed by SIGKILL" in line and "it is done again" in line for line in told)


@pytest.mark.parametrize(
    ("how", "error", "begun"),
    [("kill", StageKilled, KILLED_TRIES), ("term", StageKilled, 1), ("abort", StageCrashed, 1)],
)
def test_what_somebody_means_or_a_file_does_is_an_error(tmp_path, how, error, begun):
    with pytest.raises(error):
        worked(tmp_path, [], how, 99)
    assert (tmp_path / "begun").read_text() == "x" * begun

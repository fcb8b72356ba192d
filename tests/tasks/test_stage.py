"""The line of a stage's progress says what its percentage is of."""

import pytest

from eraflow.machine.progress import Progress
from tasks.stage import progress_line


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (
            Progress(4.0, 100.0, "lightgbm fold 1 of 5 (63 of 200 trees)", 10.0, 125.0),
            "train-lightgbm 4% of the stage, 2 min 5 s left: lightgbm fold 1 of 5 (63 of 200 trees)",
        ),
        (Progress(0.0, 0.0, "rows written", 1.0, None), "train-lightgbm 0% of the stage: rows written"),
    ],
)
def test_a_percentage_is_of_the_stage_and_a_count_of_its_own_things(progress, line):
    assert progress_line("train-lightgbm", progress) == line

"""What a verdict tells of the whole gate's errors is what the simulation gives, and stands in the note."""

import numpy as np
import pytest

from benchmarks.gateerrors import COUNTS, HORIZONS, passes
from eraflow.gate.simulatederrors import SIMULATED, nearest, whole_gate_in_words
from eraflow.scoring.scoring import EraScores
from tests.eraflow.gate.test_gate import decide, measured, rule, sound, wave

DRAWS = 80


@pytest.mark.parametrize("regimes", [False, True])
@pytest.mark.parametrize("edge", [False, True])
def test_the_table_is_what_the_simulation_gives(regimes, edge):
    found = passes(60, 330, DRAWS, regimes=regimes, edge=edge, correlation=0.7)
    for history, name in ((True, "now"), (False, "without")):
        told = SIMULATED[60, 330, history]
        wanted = told[2 * regimes + edge]
        error = np.sqrt(wanted * (1 - wanted) / DRAWS)
        assert found.get(name, 0.0) == pytest.approx(wanted, abs=3.5 * error)


def test_every_cell_is_told_and_the_nearest_one_is_taken():
    assert set(SIMULATED) == {(days, eras, used) for days in HORIZONS for eras in COUNTS for used in (True, False)}
    assert nearest(20, 90, history=True) == (20, 200)
    assert nearest(60, 480, history=False) == (60, 330)
    assert nearest(40, 5000, history=True) == (20, 650)


def test_the_note_of_a_verdict_tells_it_and_whether_the_history_was_used():
    assert whole_gate_in_words(20, 330, history=False) in decide(sound()).note
    eras = tuple(f"{number:04d}" for number in range(1, 801))
    history = EraScores(eras, tuple(wave(0.01, n=800, seed=9).tolist()))
    verdict = decide(measured(wave(0.02), first=471), history=history, bmc_bound=None)
    assert "470 eras of the benchmark before them" in rule(verdict, "corr").text
    assert whole_gate_in_words(20, 330, history=True) in verdict.note
    assert (
        "history"
        not in rule(decide(measured(wave(0.02), first=471), history=history, benchmark_history=False), "corr").text
    )


def test_no_era_after_t_changes_a_verdict_up_to_t():
    eras = tuple(f"{number:04d}" for number in range(1, 801))
    drawn = wave(0.01, n=800, seed=9)
    known = EraScores(eras[:700], tuple(drawn[:700].tolist()))
    scores = measured(wave(0.02, n=230), first=471)
    first = decide(scores, history=known, benchmark=measured(drawn[470:700], first=471))
    # What the benchmark scores later is not asked, though it were known.
    later = EraScores(eras, tuple(np.concatenate([drawn[:700], 9 + drawn[700:]]).tolist()))
    assert (
        decide(scores, history=later, benchmark=measured(np.concatenate([drawn[470:700], np.ones(9)]), first=471))
        == first
    )

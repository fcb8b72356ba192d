"""Rounds predicted side by side: kept, found again by their ids, and scored as numerai-tools does."""

import numpy as np
import polars as pl
import pytest
from numerai_tools.scoring import numerai_corr

from eraflow.scoring.shadowrounds import keep_round, resolved_differences

ROWS = 200


class Store:
    """Eras with a target, of which the last is not resolved."""

    def __init__(self, seed=4, eras=6):
        rng = np.random.default_rng(seed)
        self.eras = [f"{era:04d}" for era in range(1, eras + 1)]
        self.rows = {era: np.array([f"n{era}{row:03d}" for row in range(ROWS)]) for era in self.eras}
        self.target = {era: rng.choice([0, 0.25, 0.5, 0.75, 1.0], size=ROWS) for era in self.eras}
        self.target[self.eras[-1]] = np.full(ROWS, np.nan)

    def ids(self, eras=None):
        return np.concatenate([self.rows[era] for era in eras])

    def column(self, name, eras=None):
        assert name == "target_a_20"
        return np.concatenate([self.target[era] for era in eras])


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def kept(store, tmp_path):
    """Rounds 11 to 13 for the last three eras; the rows of live files come in another order."""
    rng = np.random.default_rng(9)
    for number, era in zip((11, 12, 13), store.eras[-3:], strict=True):
        frame = pl.DataFrame({"id": store.rows[era], "prediction": rng.normal(size=ROWS)})
        other = frame.with_columns(prediction=pl.Series(rng.normal(size=ROWS)))
        frame.write_parquet(tmp_path / "a.parquet")
        other.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "b.parquet")
        keep_round(tmp_path / "pair", number, tmp_path / "a.parquet", tmp_path / "b.parquet")
    return tmp_path / "pair"


def differences(kept, store, before=99):
    return resolved_differences(kept, before, store, store.eras, "target_a_20")


def test_each_resolved_round_is_scored_as_numerai_tools_does(kept, store):
    found = differences(kept, store)
    assert len(found) == 2
    frame = pl.read_parquet(kept / "round-11.parquet").to_pandas().set_index("id")
    truth = pl.DataFrame({"id": store.rows["0004"], "t": store.target["0004"]}).to_pandas().set_index("id")["t"]
    champion, challenger = (
        numerai_corr(frame[[name]], truth[frame.index])[name] for name in ("champion", "challenger")
    )
    assert found[0] == pytest.approx(challenger - champion, abs=1e-9)


def test_what_is_not_resolved_or_not_yet_predicted_is_not_counted(kept, store):
    assert len(differences(kept, store, before=12)) == 1
    assert differences(kept, store, before=11) == []
    assert differences(kept.with_name("nobody"), store) == []


def test_later_truth_does_not_change_an_earlier_rounds_score(kept, store):
    before = differences(kept, store)
    other = Store(seed=4, eras=6)
    other.target["0005"] = 1 - other.target["0005"]
    assert differences(kept, other)[0] == before[0]
    assert differences(kept, other)[1] != before[1]

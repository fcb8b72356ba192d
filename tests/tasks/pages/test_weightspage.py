"""The page of weights that are learnt."""

import polars as pl

from tasks.pages.weightspage import weights_text


def test_the_page_holds_the_picture_the_table_and_what_may_be_said(tmp_path):
    eras = [f"{era:04d}" for era in range(1, 61)]
    rising = [0.5 + era / 200 for era in range(60)]
    pl.DataFrame({"era": eras, "lightgbm": rising, "mlp": [1 - one for one in rising]}).write_parquet(tmp_path / "w")
    learnt = {
        "turnover": 0.005, "scored_eras": 60, "live": "not distinguishable from equal weights", "departed_eras": 0,
        "disagreed": 3, "judged": 40, "candidate": [0.8, 0.2], "approximation": 0.0123,
    }  # fmt: skip
    metrics = {"members": ["lightgbm", "mlp"], "weights": [0.5, 0.5], "method": "payout", "learnt": learnt}
    text = weights_text(tmp_path / "w", metrics)
    assert text.startswith("![")
    assert "| lightgbm | 0.500 | 0.800 | 0.647 |" in text
    assert "not distinguishable from equal weights" in text
    assert "3 of 40 decisions" in text
    assert "0.5% of the weight changes" in text

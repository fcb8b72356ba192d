"""Scores grow day by day towards what numerai-tools says of the resolved targets, and only of what was submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numerai_tools.scoring import correlation_contribution, numerai_corr

from eraflow.sandbox.generate import Generator
from eraflow.sandbox.livescores import LAG, ScoreBook, chosen_rows, trading_days
from eraflow.sandbox.outcomes import META_MODEL, read_outcome
from eraflow.sandbox.partialtargets import RunningTarget

from .conftest import SMALL

MONDAY = 1_795_996_800.0  # 2026-11-30 00:00 UTC
DAY = 86_400.0


def submitted(folder: Path, tmp_path: Path, number: int = 2002) -> tuple[dict[str, Any], Path]:
    outcome = read_outcome(folder, number)
    assert outcome is not None
    rng = np.random.default_rng(5)
    values = rng.permutation(outcome.height) + 0.5
    csv = tmp_path / "sent.csv"
    pl.DataFrame({"id": outcome["id"], "prediction": values / outcome.height}).write_csv(csv)
    return {"id": "one", "round": number, "closes": MONDAY, "target": "target_ender_60"}, csv


def values(rows: list[dict[str, Any]], name: str) -> dict[int, float | None]:
    return {row["day"]: row["value"] for row in rows if row["displayName"] == name}


def test_final_scores_are_those_of_numerai_tools(small_folder: Path, tmp_path: Path) -> None:
    record, csv = submitted(small_folder, tmp_path)
    rows = ScoreBook(small_folder, tmp_path / "kept").of(record, csv, MONDAY + 120 * DAY)
    outcome = read_outcome(small_folder, 2002)
    assert outcome is not None
    frame = outcome.join(pl.read_csv(csv), on="id").to_pandas().set_index("id")
    for horizon in (20, 60):
        target = frame[f"target_ender_{horizon}"]
        corr = numerai_corr(frame[["prediction"]], target).iloc[0]
        mmc = correlation_contribution(frame[["prediction"]], frame[META_MODEL], target).iloc[0]
        bmc = correlation_contribution(frame[["prediction"]], frame[f"v53_lgbm_ender{horizon}"], target).iloc[0]
        told = {name: values(rows, f"{name}{horizon}")[horizon] for name in ("corr", "mmc", "bmc")}
        assert told == pytest.approx({"corr": corr, "mmc": mmc, "bmc": bmc}, abs=1e-9)
    assert all(row["resolved"] for row in rows if row["day"] == 60)


def test_the_outcome_is_the_live_era_as_it_would_be_resolved(small_folder: Path) -> None:
    outcome, generator = read_outcome(small_folder, 7), Generator(SMALL)
    assert outcome is not None
    live = pl.read_parquet(small_folder / "live.parquet")
    assert outcome["id"].to_list() == live["id"].to_list()
    assert np.isnan(generator.era(generator.last).targets["target_ender_60"]).all()
    assert np.isfinite(outcome["target_ender_60"].to_numpy()).all()


def test_scores_come_after_the_close_and_one_trading_day_at_a_time(small_folder: Path, tmp_path: Path) -> None:
    record, csv = submitted(small_folder, tmp_path)
    book = ScoreBook(small_folder, tmp_path / "kept")
    assert book.of(record, csv, MONDAY + LAG * DAY) == []
    for days in (3, 4, 11):
        rows = book.of(record, csv, MONDAY + days * DAY)
        assert max(values(rows, "corr60")) == trading_days(MONDAY, MONDAY + days * DAY)
    assert trading_days(MONDAY, MONDAY + 11 * DAY) == 9 - LAG  # one weekend between


def test_a_revision_changes_the_newest_days_alone_and_ends_in_the_final_value(
    small_folder: Path, tmp_path: Path
) -> None:
    record, csv = submitted(small_folder, tmp_path)
    book = ScoreBook(small_folder, tmp_path / "kept")
    final = values(book.of(record, csv, MONDAY + 120 * DAY), "corr60")
    revised = 0
    for days in range(3, 60):
        now = MONDAY + days * DAY
        told = values(book.of(record, csv, now), "corr60")
        other = {day for day, value in told.items() if value != final[day]}
        assert all(day > trading_days(MONDAY, now) - 2 for day in other)
        revised += len(other)
    assert revised > 0


def test_what_was_not_submitted_or_is_not_known_has_no_scores(small_folder: Path, tmp_path: Path) -> None:
    record, csv = submitted(small_folder, tmp_path)
    book, later = ScoreBook(small_folder, tmp_path / "kept"), MONDAY + 60 * DAY
    assert book.of(record, None, later) == []
    assert book.of({key: value for key, value in record.items() if key != "closes"}, csv, later) == []
    pl.DataFrame({"id": ["n000000000000000"], "prediction": [0.5]}).write_csv(csv)
    assert book.of(record, csv, later) == []
    assert ScoreBook(tmp_path, tmp_path / "none").of(record, csv, later) == []


@pytest.mark.parametrize(
    ("number", "shows"),
    [
        (2001, lambda rows: [row["value"] for row in rows].count(None) > 0),
        (2002, lambda rows: len({(row["displayName"], row["day"]) for row in rows}) < len(rows)),
        (2003, lambda rows: all((row["percentile"] is None) == (row["day"] <= 3) for row in rows)),
    ],
)
def test_the_oddities_of_the_real_api_are_shown(small_folder: Path, tmp_path: Path, number: int, shows: Any) -> None:
    record, csv = submitted(small_folder, tmp_path, number)
    assert shows(ScoreBook(small_folder, tmp_path / "kept").of(record, csv, MONDAY + 20 * DAY))


def test_the_first_days_of_some_rounds_come_late_and_together(small_folder: Path, tmp_path: Path) -> None:
    record, csv = submitted(small_folder, tmp_path, 2001)
    book = ScoreBook(small_folder, tmp_path / "kept")
    assert book.of(record, csv, MONDAY + 7 * DAY) == []
    assert sorted(values(book.of(record, csv, MONDAY + 9 * DAY), "corr60")) == [1, 2, 3, 4, 5, 6]


def test_a_running_target_becomes_more_like_the_final_one() -> None:
    final = np.random.default_rng(0).choice([0, 0.25, 0.5, 0.75, 1], 4000, p=[0.05, 0.2, 0.5, 0.2, 0.05])
    running = RunningTarget(final, 60, [1, 2])
    found = [np.corrcoef(running.on(day), final)[0, 1] for day in (1, 15, 30, 59)]
    assert found == pytest.approx([np.sqrt(day / 60) for day in (1, 15, 30, 59)], abs=0.12)
    assert found == sorted(found)
    assert np.array_equal(running.on(60), final)
    assert np.array_equal(RunningTarget(final, 60, [1, 2]).on(7), running.on(7))


def test_the_arguments_of_the_question_leave_what_they_name(small_folder: Path, tmp_path: Path) -> None:
    first, csv = submitted(small_folder, tmp_path, 2002)
    book, now = ScoreBook(small_folder, tmp_path / "kept"), MONDAY + 120 * DAY
    rows = book.of(first, csv, now) + book.of({**first, "id": "two", "round": 2006}, csv, now)
    assert {row["roundNumber"] for row in chosen_rows(rows, lastNRounds=1)} == {2006}
    newest = chosen_rows(rows, displayName="corr20", distinctOnRound=True)
    assert [(row["roundNumber"], row["day"]) for row in newest] == [(2006, 20), (2002, 20)]
    assert all(row["day"] == 60 for row in chosen_rows(rows, resolved=True, displayName="mmc60"))

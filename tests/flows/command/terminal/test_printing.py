"""The last words of a run, and the tables of the other verbs: widths, words, colours, and what they must say."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from eraflow.settings.run import RunSettings
from flows.command.starting.summary import summary
from flows.command.terminal.printing import _print, plain, table


def metric(mean, eras=81):
    return {"mean": mean, "low": mean - 0.02, "high": mean + 0.02, "sharpe": 1.1, "eras": eras, "confidence": 0.9}


def worth(names):
    """Of two members: what each adds, in all metrics."""
    found = {
        "difference": -0.0123,
        "low": -0.0456,
        "high": 0.0321,
        "eras": 81,
        "mean": 0.03,
        "verdict": "not distinguishable",
    }
    metrics = dict.fromkeys(("payout", "payout_bmc", "corr", "mmc", "sharpe"), found)
    correlation = {"members": list(names), "values": [[1.0, 0.5], [0.5, 1.0]]}
    return {"confidence": 0.9, "members": dict.fromkeys(names, metrics), "correlation": correlation}


def record(**changes):
    """The record of a week that passed the gate with a blend that is worse than the benchmark."""
    names = ("lightgbm", "xgboost-ender60-residual-tuned-again", "blend")
    rules = [{"passed": True, "judged": True, "text": "corr (certificate): mean CORR +0.1233, lower 90% bound " * 3}]
    told = {
        "outcome": "submitted",
        "run_dir": "/a/" + "very-long-folder/" * 8,
        "error": None,
        "scores": {
            **{name: {"corr": metric(0.12), "bmc": metric(0.01, 70), "mmc": metric(-0.02, 25)} for name in names},
            "v53_lgbm_ender20": {"corr": metric(0.16, 80), "mmc": metric(-0.01, 25)},
        },
        "members": {name: {"learns": f"target_{name}"} for name in names[:2]},
        "against_benchmark": {
            name: {**metric(-0.04), "difference": -0.04, "benchmark": "v53_lgbm_ender20", "verdict": verdict}
            for name, verdict in zip(names, ("not distinguishable", "better", "worse"), strict=True)
        },
        "worth": worth(names[:2]),
        "verdict": {"passed": True, "rules": rules, "round_number": 1404, "target": "target_ender_20"},
        "stages": {"features": {"seconds": 12.3, "peak_mb": 456.0, "attempts": 2}},
    }
    return {**told, **changes}


SETTINGS = RunSettings(profile="sandbox", submit={"model": "my_slot"})


@pytest.mark.parametrize("width", [60, 80, 110])
def test_no_line_is_too_long_and_no_word_is_broken(width):
    text = plain(summary(record(), SETTINGS, "http://127.0.0.1:4200"), width)
    path = record()["run_dir"]
    assert path in text  # whole, so that it can be copied
    assert max(len(line) for line in text.splitlines() if path not in line) <= width
    printed = text.split()
    for word in (*record()["verdict"]["rules"][0]["text"].split(), "distinguishable", "NUMERAI_SECRET_KEY."):
        assert word in printed or f"{word}," in printed


def test_it_says_round_slot_source_confidence_and_that_the_benchmark_is_better():
    text = " ".join(plain(summary(record(), SETTINGS, "")).split())
    for said in ("Round 1404", "slot my_slot", "generated data", "target_ender_20", "one-sided, 90% each"):
        assert said in text
    assert "Eras: CORR 81, BMC 70, MMC 25." in text
    assert "Eras of v53_lgbm_ender20: CORR 80." in text
    assert "Mind: the gate passed, but the CORR of the blend is worse than that of the benchmark" in text
    better = record(against_benchmark={"blend": {**record()["against_benchmark"]["blend"], "verdict": "better"}})
    assert "Mind:" not in plain(summary(better, SETTINGS, ""))


@pytest.mark.parametrize("source", [{"kind": "numerai"}, {"kind": "sandbox", "data_dir": "/data/mine"}])
def test_the_source_of_the_data_is_named(source):
    text = " ".join(plain(summary(record(), RunSettings(source=source), "")).split())
    assert {"numerai": "data from Numerai", "sandbox": "data in /data/mine"}[source["kind"]] in text


def test_on_a_terminal_it_has_colours_and_with_no_color_it_has_none(monkeypatch):
    def printed():
        file = io.StringIO()
        _print(
            Console(file=file, force_terminal=True, color_system="standard", width=80), summary(record(), SETTINGS, "")
        )
        return file.getvalue()

    assert "\x1b[32m" in printed()
    assert "\x1b[31m" in printed()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in printed()
    assert "\x1b" not in plain(summary(record(), SETTINGS, ""))


@settings(deadline=None, max_examples=50)
@given(
    names=st.lists(st.from_regex(r"[a-z]{1,12}(-[a-z0-9]{1,12}){0,5}", fullmatch=True), min_size=1, max_size=5),
    columns=st.integers(1, 8),
    width=st.integers(60, 120),
)
def test_a_table_fits_and_loses_nothing_whatever_the_names(names, columns, width):
    rows = [(name, *(f"0.{number:04d}" for number in range(columns))) for name in names]
    text = plain([table(("model", *(f"metric{number}" for number in range(columns))), rows)], width)
    assert max(map(len, text.splitlines())) <= max(width, max(map(len, names)))
    for name in names:
        assert name.replace("-", "") in "".join(text.split()).replace("-", "") or all(
            part in text for part in name.split("-")
        )
    assert text.count("0.0000") == len(names)

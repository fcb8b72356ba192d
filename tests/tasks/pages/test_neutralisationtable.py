"""The table of proportions claims no more than was found."""

from tasks.pages.neutralisationtable import neutralisation_text


def metric(mean, difference=0.0, low=-0.01, high=0.01, verdict="not distinguishable", eras=30):
    return {"mean": mean, "difference": difference, "low": low, "high": high, "verdict": verdict, "eras": eras}


def table(**over):
    rows = [
        {"proportion": 0.0, "explained_eras": 0, "corr": metric(0.03), "sharpe": metric(0.8)},
        {
            "proportion": 0.5,
            "explained_eras": 0,
            "corr": metric(0.02, -0.01, -0.015, -0.005, "worse"),
            "sharpe": metric(0.9, 0.1, -0.1, 0.3),
            **over,
        },
    ]
    return {"features": 12, "chosen": 0.5, "confidence": 0.95, "proportions": rows}


def test_every_figure_has_its_difference_interval_and_verdict():
    text = neutralisation_text(table())
    assert "**CORR**, 30 eras\n\n| neutralised | CORR | difference | bounds | verdict |" in text
    assert "| 0% | 0.0300 |  |  |  |" in text
    assert "| 50% (chosen) | 0.0200 | -0.0100 | -0.0150 to -0.0050 | worse |" in text
    assert "**Sharpe**, 30 eras" in text
    assert "| 0.90 | +0.10 | -0.10 to +0.30 | not distinguishable |" in text
    assert "12 features" in text
    assert "of equal blends 10% are called better or worse by chance" in text
    assert "uses the judged eras" in text


def test_too_few_eras_and_explained_ones_are_said():
    text = neutralisation_text(
        table(corr=metric(0.02, -0.01, None, None), sharpe={"mean": None, "eras": 0}, explained_eras=3)
    )
    assert "| 0.0200 |  |  | too few eras to compare |" in text
    assert "In 3 eras the 12 features explain the blend completely" in text


def test_why_there_is_no_table_is_said():
    assert "90 minutes" in neutralisation_text({"left_out": "it was reckoned to take 90 minutes"})

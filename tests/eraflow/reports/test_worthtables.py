"""The worth of members claims no more than was found."""

from eraflow.reports.worthtables import worth_text


def metric(difference=0.001, low=-0.01, high=0.012, verdict="not distinguishable", eras=30):
    return {"mean": 0.03, "difference": difference, "low": low, "high": high, "verdict": verdict, "eras": eras}


def worth(**members):
    values = [[1.0, 0.25], [0.25, 1.0]]
    return {"confidence": 0.9, "members": members, "correlation": {"members": list(members), "values": values}}


def test_every_figure_has_its_interval_eras_and_verdict():
    text = worth_text(
        worth(
            lightgbm={"payout": metric(0.05, 0.01, 0.09, "better", 20), "corr": metric()},
            mlp={"payout": metric(-0.05, -0.09, -0.01, "worse", 20), "corr": metric(0.002, None, None)},
        )
    )
    assert "| lightgbm | +0.050 | +0.010 to +0.090 | 20 | adds |" in text
    assert "| mlp | -0.050 | -0.090 to -0.010 | 20 | takes away |" in text
    assert "| lightgbm | +0.0010 | -0.0100 to +0.0120 | 30 | not distinguishable |" in text
    assert "| mlp | +0.0020 | - | 30 | not distinguishable |" in text
    assert "| correlation | lightgbm | mlp |" in text
    assert "| mlp | 0.25 | 1.00 |" in text
    assert "holds with 90%" in text
    assert "20% are called one or the other by chance" in text
    assert "MMC" not in text


def test_a_single_member_has_none():
    assert worth_text(None) == ""

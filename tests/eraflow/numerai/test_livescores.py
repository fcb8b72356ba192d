"""Odd rows hide no others; a day without a value is not scored yet."""

from eraflow.numerai.livescores import readable

GOOD = {
    "submissionId": "a",
    "roundNumber": 1404,
    "displayName": "corr60",
    "day": 3,
    "date": "2026-12-01T21:00:00Z",
    "value": 0.02,
    "percentile": None,
    "resolved": None,
}


def test_what_can_be_read_is_read():
    told = [GOOD, None, {**GOOD, "value": None}, {**GOOD, "day": "soon"}, {**GOOD, "value": "much"}, {**GOOD, "day": 4}]
    rows, odd = readable(told)
    assert ([row.day for row in rows], odd) == ([3, 4], 2)
    assert (rows[0].percentile, rows[0].resolved, rows[0].date.tzinfo is not None) == (None, None, True)


def test_a_percentile_that_is_no_number_is_not_known():
    rows, odd = readable([{**GOOD, "percentile": "high"}])
    assert (rows[0].percentile, odd) == (None, 0)

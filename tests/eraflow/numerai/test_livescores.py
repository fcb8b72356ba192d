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
    assert (rows[0].percentile, rows[0].resolved, rows[0].date) == (None, None, "2026-12-01T21:00:00Z")


def test_a_percentile_that_is_no_number_is_not_known():
    rows, odd = readable([{**GOOD, "percentile": "high"}])
    assert (rows[0].percentile, odd) == (None, 0)


def test_what_is_written_in_another_way_is_read_all_the_same():
    rows, odd = readable([{**GOOD, "value": "1,000.5", "day": "3", "date": "2026-12-01T23:00:00+02:00"}])
    assert ([(row.value, row.day, row.date) for row in rows], odd) == ([(1000.5, 3, "2026-12-01T21:00:00Z")], 0)

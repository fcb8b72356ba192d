"""How many eras one call could take is a line through one era and several."""

from hypothesis import given
from hypothesis import strategies as st

from eraflow.rehearsal.confinedrun import Room
from eraflow.rehearsal.whatfits import eras_that_fit


@given(
    start=st.floats(1, 100),
    each=st.floats(0.5, 50),
    base=st.floats(100, 1000),
    held=st.floats(1, 500),
    eras=st.integers(2, 9),
)
def test_as_many_fit_as_the_line_allows_and_not_one_more(start, each, base, held, eras):
    def told(count):
        return {"eras": count, "seconds": start + each * count, "peak_mb": base + held * count}

    found = eras_that_fit(told(1), told(eras), Room())
    for limit, name, unit in ((600, "time", "seconds"), (4096, "memory", "peak_mb")):
        count = found[name]
        assert told(count)[unit] <= limit + 1e-6 or count == 1
        assert told(count + 1)[unit] > limit - 1e-6

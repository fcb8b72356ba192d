import threading
import time

import pytest

from models.prediction import prefetch
from models.prediction.prefetch import prefetched


def slow(items, seconds=0.01):
    for item in items:
        time.sleep(seconds)
        yield item


@pytest.mark.parametrize("mode", ["on", "off", "auto"])
@pytest.mark.parametrize("length", [0, 1, 7, 30])
def test_the_items_and_their_order_stay(mode, length):
    assert list(prefetched(iter(range(length)), mode, 2)) == list(range(length))


@pytest.mark.parametrize("mode", ["on", "off", "auto"])
def test_an_error_comes_out_where_its_item_would_have(mode):
    def failing():
        yield from range(20)
        raise ValueError("the twenty-first")

    items = prefetched(failing(), mode, 2)
    assert [next(items) for _ in range(20)] == list(range(20))
    with pytest.raises(ValueError, match="twenty-first"):
        next(items)


def test_the_thread_ends_with_its_user():
    before = threading.active_count()
    for item in prefetched(slow(range(100)), "on", 2):
        if item == 3:
            break
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("reading", "using", "busy", "cores", "pays"),
    [
        (1.0, 1.0, 2.0, 2, True),  # one core after the other: unpacking, then predicting in one thread
        (1.0, 1.0, 3.9, 2, False),  # both keep all cores busy
        (0.1, 2.0, 2.0, 2, False),  # there is nothing to gain
        (2.0, 0.1, 2.0, 2, False),
        (1.0, 1.0, 2.0, 1, False),
        (0.0, 0.0, 0.0, 2, False),
    ],
)
def test_it_pays_only_where_cores_are_idle_and_both_take_time(reading, using, busy, cores, pays):
    meter = prefetch._Meter(cores)
    meter.reading, meter.using, meter.busy = reading, using, busy
    assert meter.pays() is pays


def test_what_was_measured_decides(monkeypatch):
    ahead = []
    real = prefetch._ahead
    monkeypatch.setattr(prefetch, "_ahead", lambda items: ahead.append(1) or real(items))
    for verdict in (True, False):
        monkeypatch.setattr(prefetch._Meter, "pays", lambda self, verdict=verdict: verdict)
        assert list(prefetched(iter(range(20)), "auto", 2)) == list(range(20))
    assert len(ahead) == 1
    assert list(prefetched(iter(range(20)), "auto", 1)) == list(range(20))
    assert len(ahead) == 1


def test_reading_and_using_are_told_apart():
    meter = prefetch._Meter(2)
    for _ in meter.watched(slow(range(9), 0.02)):
        time.sleep(0.06)
    assert 0.5 * meter.using > meter.reading > 0.1

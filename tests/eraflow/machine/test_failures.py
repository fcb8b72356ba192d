"""What kind of failure an exception is, by names and texts only."""

from __future__ import annotations

import pytest

from eraflow.errors import SettingsError
from eraflow.machine.failures import StageTimeout, classify, memory_remedy, names_allocation, timeout_remedy


def named(name: str, text: str, *bases: type) -> Exception:
    return type(name, bases or (Exception,), {})(text)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "oom"),
        (named("_ArrayMemoryError", "Unable to allocate 3 GiB", MemoryError), "oom"),
        (named("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2 GiB", RuntimeError), "oom"),
        (named("LightGBMError", "std::bad_alloc"), "oom"),
        (named("XGBoostError", "bad allocation"), "oom"),
        (OSError(12, "Cannot allocate memory"), "oom"),
        (FloatingPointError("overflow"), "nan"),
        (RuntimeError("Function 'MulBackward0' returned nan values in its 0th output."), "nan"),
        (named("LightGBMError", "No OpenCL device found"), "error"),
        (KeyError("x"), "error"),
        (SettingsError("machine.memory_mb is out of memory", "lower it"), "error"),
        (StageTimeout("p", "r"), "timeout"),
    ],
)
def test_classify(error, kind):
    assert classify(error) == kind


def test_the_cause_counts_unless_it_is_suppressed():
    hidden, shown = RuntimeError("fit failed"), RuntimeError("fit failed")
    hidden.__context__ = shown.__context__ = MemoryError()
    hidden.__suppress_context__ = True
    assert classify(shown) == "oom"
    assert classify(hidden) == "error"


def test_a_circle_of_causes_ends():
    one, two = RuntimeError("a"), RuntimeError("b")
    one.__cause__, two.__cause__ = two, one
    assert classify(one) == "error"


def test_remedies_name_the_setting_and_a_figure():
    assert "machine.memory_mb to 1400 or more (now 900)" in memory_remedy(900)
    assert "machine.stage_minutes to 20 (now 10)" in timeout_remedy(600)


def test_texts_are_found_in_a_tail():
    assert names_allocation("...\nOpenBLAS error: Memory allocation still failed after 10 retries")
    assert not names_allocation("all is well")

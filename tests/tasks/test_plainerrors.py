"""Named errors are one line in the log; what nobody foresaw keeps its traceback."""

import io
import logging

import pytest

from eraflow.errors import SettingsError
from eraflow.machine.failures import StageError, StageOutOfMemory
from tasks.plainerrors import PlainErrors, show_plain_errors


@pytest.fixture
def log():
    logger, stream = logging.Logger("engine"), io.StringIO()
    logger.addHandler(logging.StreamHandler(stream))
    logger.addFilter(PlainErrors())

    def told(error):
        try:
            raise error
        except type(error) as caught:
            logger.exception("Encountered exception during execution: %r", caught)
        return stream.getvalue()

    return told


@pytest.mark.parametrize("error", [SettingsError("a is wrong", "set b"), StageOutOfMemory("too much", "less")])
def test_a_named_error_is_one_line_with_its_remedy(log, error):
    assert log(error) == f"{error}\n"


def test_an_unforeseen_exception_keeps_its_traceback(log):
    text = log(KeyError("x"))
    assert "Traceback" in text
    assert "KeyError" in text


def test_what_a_child_did_not_foresee_shows_the_childs_traceback(log):
    text = log(StageError("failed with KeyError", "read on", detail="Traceback (child)\nKeyError: 'x'"))
    assert text.splitlines()[1:] == ["Traceback (child)", "KeyError: 'x'"]


def test_it_is_put_on_prefects_loggers_once():
    show_plain_errors()
    show_plain_errors()
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        assert sum(isinstance(one, PlainErrors) for one in logging.getLogger(name).filters) == 1

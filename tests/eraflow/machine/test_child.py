"""What a child makes of exceptions and values, and that it does not outlive its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from eraflow.disk.atomic import StorageError
from eraflow.machine.failures import StageError, StageNaN, StageOutOfMemory
from tests.eraflow.machine.isolated import HERE, appears, gone, isolated, linux_only
from tests.eraflow.machine.stages import ShopIsShutError


@linux_only
def test_the_kernel_would_take_the_child_first(tmp_path):
    value = isolated("kernel_view", tmp_path).value
    assert value == {"adjust": 1000, "session_leader": True, "stdin": ""}


@pytest.mark.parametrize(
    ("how", "error", "kind"),
    [
        ("memory", StageOutOfMemory, "oom"),
        ("lightgbm", StageOutOfMemory, "oom"),
        ("torch", StageOutOfMemory, "oom"),
        ("wrapped", StageOutOfMemory, "oom"),
        ("float", StageNaN, "nan"),
        ("nan", StageNaN, "nan"),
        ("local", StageError, "error"),
        ("plain", StageError, "error"),
    ],
)
def test_exceptions_become_stage_errors(tmp_path, how, error, kind):
    with pytest.raises(StageError) as caught:
        isolated("fail", tmp_path, kwargs={"how": how})
    assert type(caught.value) is error
    assert caught.value.kind == kind


def test_an_unknown_exception_keeps_type_message_and_traceback(tmp_path):
    with pytest.raises(StageError, match=r"KeyError.*no such column") as caught:
        isolated("fail", tmp_path, kwargs={"how": "plain"})
    assert "in fail" in caught.value.detail
    assert caught.value.seconds > 0


def test_a_named_error_arrives_as_its_own_class(tmp_path):
    with pytest.raises(ShopIsShutError) as caught:
        isolated("fail", tmp_path, kwargs={"how": "named"})
    assert str(caught.value) == str(ShopIsShutError("Monday"))
    assert caught.value.day == "Monday"
    assert "in fail" in caught.value.__notes__[0]


def test_a_value_that_is_not_json_is_an_error(tmp_path):
    with pytest.raises(StageError, match=r"builtins\.object"):
        isolated("not_json", tmp_path)


def test_a_function_that_is_not_there(tmp_path):
    with pytest.raises(StageError, match="no_such_function"):
        isolated("no_such_function", tmp_path)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@linux_only
def test_when_the_parent_is_killed_nothing_lives_on(tmp_path, how):
    code = (
        "from eraflow.machine.isolate import run_isolated\n"
        f"run_isolated('{HERE}:leave_orphans', {{'folder': {str(tmp_path)!r}, 'seconds': 60}}, memory_mb=None,"
        f" timeout_s=None, log=print, folder={str(tmp_path)!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.getcwd()})
    try:
        with_own_session = appears(tmp_path / "own.pid")
        grandchild = appears(tmp_path / "same.pid")
        child = psutil.Process(grandchild).parent()
        assert child is not None
        parent.send_signal(how)
        parent.wait(5)
        assert gone(child.pid)
        assert gone(grandchild)
        assert gone(with_own_session)
    finally:
        parent.kill()
        parent.wait()


def test_a_result_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(StorageError):
        isolated("full_disk", tmp_path, kwargs={"folder": str(tmp_path)})

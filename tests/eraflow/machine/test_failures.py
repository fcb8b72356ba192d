"""What kind of failure an exception is, by names and texts only."""

from __future__ import annotations

import pytest

from eraflow.disk.atomic import StorageError, storage_errors
from eraflow.errors import EraflowError, SettingsError
from eraflow.machine.failures import (
    REMEDIES,
    STAGE_ERRORS,
    StageDiverged,
    StageOutOfMemory,
    StageTimeout,
    classify,
    kind_of_text,
    memory_remedy,
    stage_error,
    timeout_remedy,
)
from eraflow.machine.plan import FAILURE_KINDS


def named(name: str, text: str, *bases: type) -> Exception:
    return type(name, bases or (Exception,), {})(text)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "oom"),
        (named("_ArrayMemoryError", "Unable to allocate 3 GiB", MemoryError), "oom"),
        (named("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2 GiB", RuntimeError), "vram"),
        (RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"), "vram"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), "vram"),
        (
            named("XGBoostError", "Memory allocation error on worker 0: cudaErrorMemoryAllocation: out of memory"),
            "vram",
        ),
        (named("XGBoostError", "std::bad_alloc: out_of_memory: CUDA error at: cuda_memory_resource.hpp"), "vram"),
        (named("CatBoostError", "CUDA error 2: out of memory"), "vram"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), "oom"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "gpu_lost"),
        (RuntimeError("CUDA error: unspecified launch failure"), "gpu_lost"),
        (RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"), "gpu_lost"),
        (RuntimeError("Unable to determine the device handle: GPU is lost. Reboot the system"), "gpu_lost"),
        (RuntimeError("CUDA error: driver shutting down"), "gpu_lost"),
        (RuntimeError("CUDA error: no CUDA-capable device is detected"), "gpu_lost"),
        (RuntimeError("vk::Queue::submit: ErrorDeviceLost, device lost"), "gpu_lost"),
        (RuntimeError("CUDA error: device-side assert triggered"), "error"),  # as a rule a wrong index: a mistake
        (OSError(28, "No space left on device"), "disk_full"),
        (OSError(122, "Disk quota exceeded"), "disk_full"),
        (named("ArrowException", "write failed: No space left on device (os error 28)"), "disk_full"),
        (OSError(13, "Permission denied"), "error"),
        (named("LightGBMError", "std::bad_alloc"), "oom"),
        (named("XGBoostError", "bad allocation"), "oom"),
        (OSError(12, "Cannot allocate memory"), "oom"),
        (FloatingPointError("overflow"), "nan"),
        (RuntimeError("Function 'MulBackward0' returned nan values in its 0th output."), "nan"),
        (named("LightGBMError", "No OpenCL device found"), "error"),
        (KeyError("x"), "error"),
        (SettingsError("machine.memory_mb is out of memory", "lower it"), "error"),
        (StageTimeout("p", "r"), "timeout"),
        (StageDiverged("out of memory", "r"), "diverged"),
        (StorageError("cannot write x: permission denied", "r"), "error"),
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


@pytest.mark.parametrize("errno", [28, 122])
def test_a_storage_error_of_a_full_disk_is_told_from_other_storage_errors(errno):
    with pytest.raises(StorageError) as caught, storage_errors("x"):
        raise OSError(errno, "full")
    assert classify(caught.value) == "disk_full"
    with pytest.raises(StorageError) as caught, storage_errors("x"):
        raise PermissionError(13, "no")
    assert classify(caught.value) == "error"


def test_an_error_of_our_own_keeps_the_kind_it_carries_and_its_causes_texts_do_not_count():
    class OwnError(EraflowError):
        code = "own"

    own = OwnError("p", "r")
    own.__cause__ = MemoryError("out of memory")
    assert classify(own) == "error"
    own.kind = "timeout"
    assert classify(own) == "timeout"
    own.kind = "a kind nobody knows"
    assert classify(own) == "error"


def test_texts_are_found_in_a_tail():
    assert kind_of_text("...\nOpenBLAS error: Memory allocation still failed after 10 retries") == "oom"
    assert kind_of_text("training on device cuda\nterminate called: std::bad_alloc") == "oom"
    assert kind_of_text("epoch 3\ntorch.OutOfMemoryError: CUDA out of memory. Tried") == "vram"
    assert kind_of_text("all is well") is None


@pytest.mark.parametrize("kind", sorted(FAILURE_KINDS))
def test_every_kind_has_a_class_with_a_coded_head_that_keeps_it(kind):
    error = stage_error(kind, "what happened", "what to do")
    assert error.kind == classify(error) == kind
    assert str(error) == f"{error.code}: what happened; what to do"
    assert kind in STAGE_ERRORS
    assert kind in REMEDIES or kind in ("oom", "abort", "timeout", "error")


def test_errors_survive_pickling():
    import pickle

    error = pickle.loads(pickle.dumps(StageOutOfMemory("p", "r", peak_mb=12.0, detail="d")))
    assert isinstance(error, EraflowError)
    assert (error.kind, error.peak_mb, error.detail, str(error)) == ("oom", 12.0, "d", "out_of_memory: p; r")

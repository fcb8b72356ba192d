"""The probe, control groups in several layouts, and the budget and plan that follow."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from eraflow.machine.cgroups import GroupLimits, group_limits
from eraflow.machine.resources import (
    Gpu,
    NoGpuError,
    NotEnoughMemoryError,
    Resources,
    disk_floor_mb,
    first_plan,
    memory_budget_mb,
    probe,
)
from eraflow.settings.machine import MachineSettings

GIB = 2**30


def machine(free: int, **more) -> Resources:
    return Resources(**{"cores": 4, "ram_total_mb": 64_000, "ram_available_mb": free, "disk_free_mb": 9_000, **more})


def tree(base: Path, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        path = base / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return base / "proc", base


V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"


def test_the_probe_tells_plausible_figures(tmp_path):
    found = probe(tmp_path / "not" / "yet")
    assert found.cores >= 1
    assert 0 < found.ram_available_mb <= found.ram_total_mb
    assert found.disk_free_mb > 0
    assert found.as_dict()["cores"] == found.cores


def test_version_two_takes_the_tightest_ancestor_and_calls_the_cache_free(tmp_path):
    group = "/sys/fs/cgroup/user.slice"
    limits = group_limits(
        *tree(
            tmp_path,
            {
                "/proc/cgroup": "0::/user.slice/job.scope\n",
                "/proc/mountinfo": V2_MOUNT,
                f"{group}/job.scope/memory.max": "max\n",
                f"{group}/job.scope/cpu.max": "max 100000\n",
                f"{group}/memory.max": f"{8 * GIB}\n",
                f"{group}/memory.current": f"{5 * GIB}\n",
                f"{group}/memory.stat": f"anon 1\ninactive_file {2 * GIB}\nactive_file {GIB}\n",
                f"{group}/cpu.max": "150000 100000\n",
            },
        )
    )
    assert limits == GroupLimits(memory_limit_mb=8192, memory_free_mb=6144, cores=1.5)


def test_version_one_and_its_word_for_no_limit(tmp_path):
    memory = "/sys/fs/cgroup/memory"
    limits = group_limits(
        *tree(
            tmp_path,
            {
                "/proc/cgroup": "4:memory:/batch/7\n2:cpuacct,cpu:/batch/7\n0::/\n",
                "/proc/mountinfo": "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                "32 23 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
                f"{memory}/memory.limit_in_bytes": "9223372036854771712\n",
                f"{memory}/batch/7/memory.limit_in_bytes": f"{2 * GIB}\n",
                f"{memory}/batch/7/memory.usage_in_bytes": f"{GIB}\n",
                f"{memory}/batch/7/memory.stat": f"total_inactive_file {GIB // 2}\ninactive_file 1\n",
                "/sys/fs/cgroup/cpu/batch/7/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu/batch/7/cpu.cfs_period_us": "100000\n",
                "/sys/fs/cgroup/cpu/batch/cpu.cfs_quota_us": "300000\n",
                "/sys/fs/cgroup/cpu/batch/cpu.cfs_period_us": "100000\n",
            },
        )
    )
    assert limits == GroupLimits(memory_limit_mb=2048, memory_free_mb=1536, cores=3.0)


def test_inside_a_container_the_mount_is_the_group(tmp_path):
    limits = group_limits(
        *tree(
            tmp_path,
            {
                "/proc/cgroup": "4:memory:/docker/abc\n",
                "/proc/mountinfo": "31 23 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n",
            },
        )
    )
    assert limits.memory_limit_mb == 1024


def test_no_control_groups_no_limits(tmp_path):
    assert group_limits(tmp_path, tmp_path) == GroupLimits()


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    def install(body: str) -> None:
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return install


TWO = "echo '0, GPU-aa, NVIDIA A, 81559, 80000'; echo '1, GPU-bb, NVIDIA B, 24576, 300'"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for nvidia-smi")
@pytest.mark.parametrize(
    ("body", "visible", "names"),
    [
        (TWO, None, ["NVIDIA A", "NVIDIA B"]),
        (TWO, "1", ["NVIDIA B"]),
        (TWO, "GPU-a", ["NVIDIA A"]),
        (TWO, "", []),
        (TWO, "-1", []),
        ("echo '0, GPU-aa, NVIDIA MIG, [N/A], [N/A]'", None, []),
        ("echo 'NVIDIA-SMI has failed'; exit 9", None, []),
    ],
)
def test_gpus(nvidia_smi, monkeypatch, body, visible, names):
    nvidia_smi(body)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.name for gpu in probe().gpus] == names


def test_no_driver_no_gpu(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert probe().gpus == ()


def test_the_budget_is_the_setting_or_what_is_free():
    assert memory_budget_mb(machine(20_000), MachineSettings(memory_mb=3_000)) == 3_000
    assert memory_budget_mb(machine(2_000), MachineSettings(memory_mb=3_000)) == 1_700
    assert memory_budget_mb(machine(2_000), MachineSettings(memory_mb=None)) == 1_700


def test_too_little_memory_is_named_with_figures():
    with pytest.raises(NotEnoughMemoryError, match=r"200 MiB are free of 64000 MiB, a limit of 512 MiB"):
        memory_budget_mb(machine(200, container_limit_mb=512), MachineSettings())


def test_the_first_plan_fits_the_machine():
    roomy = first_plan(machine(60_000), MachineSettings(memory_mb=None))
    tight = first_plan(machine(1_000), MachineSettings(memory_mb=None))
    assert roomy.threads == 4
    assert roomy.rows_in_memory == 262_144
    assert tight.rows_in_memory == 8_192
    assert tight.rows_in_memory * 15_000 < 850 * 2**20 / 4
    assert first_plan(machine(9_000), MachineSettings(threads=2)).threads == 2


def test_the_device_follows_setting_and_machine():
    good, full = (Gpu("A", 24_000, 20_000),), (Gpu("A", 24_000, 500),)
    assert first_plan(machine(9_000, gpus=good), MachineSettings()).device == "cuda"
    assert first_plan(machine(9_000, gpus=full), MachineSettings()).device == "cpu"
    assert first_plan(machine(9_000, gpus=good), MachineSettings(device="cpu")).device == "cpu"
    assert first_plan(machine(9_000, gpus=full), MachineSettings(device="cuda")).device == "cuda"
    with pytest.raises(NoGpuError, match=r"machine\.device"):
        first_plan(machine(9_000), MachineSettings(device="cuda"))


@pytest.mark.parametrize(
    ("total", "given", "floor"), [(1_000_000, None, 512), (300, None, 15), (300, 40, 40), (300, 0, 0)]
)
def test_a_small_disk_has_a_small_floor_and_a_setting_wins(total, given, floor):
    resources = Resources(cores=1, ram_total_mb=1, ram_available_mb=1, disk_free_mb=1, disk_total_mb=total)
    assert disk_floor_mb(resources, MachineSettings(disk_floor_mb=given)) == floor

"""What the control groups of this process allow: memory and CPU limits of a container, a service or a batch job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MIB = 1024 * 1024
# Kernels of cgroup v1 write "no limit" as the largest multiple of the page size below 2**63.
_NO_LIMIT = 2**60


@dataclass(frozen=True)
class GroupLimits:
    """The tightest limits on the way from this process's group up to the root.

    Attributes:
        memory_limit_mb: MiB; None when there is no limit.
        memory_free_mb: what is left below the tightest limit, MiB, counting the page cache as free; None without limit.
        cores: CPU quota in cores; None when there is none.
    """

    memory_limit_mb: float | None = None
    memory_free_mb: float | None = None
    cores: float | None = None


def group_limits(proc: Path = Path("/proc/self"), root: Path = Path("/")) -> GroupLimits:
    """Read the limits of cgroup v1 and v2. Nothing to read (macOS, Windows) means no limits.

    Args:
        proc: the process's folder in procfs.
        root: where the mount points of `mountinfo` are looked up; another folder only in tests.
    """
    memory: list[tuple[float, float]] = []
    cores: list[float] = []
    for folder in _group_folders(proc, root):
        memory.extend(_memory(folder))
        cores.extend(_quota(folder))
    return GroupLimits(
        memory_limit_mb=min((limit for limit, _ in memory), default=None),
        memory_free_mb=min((max(limit - used, 0.0) for limit, used in memory), default=None),
        cores=min(cores, default=None),
    )


def oom_kills(proc: Path = Path("/proc/self"), root: Path = Path("/")) -> int:
    """How often the kernel has killed in this process's groups because they were full; only a rise means something.

    Args:
        proc, root: as for `group_limits`.
    """
    total = 0
    for folder in _group_folders(proc, root):
        for name in ("memory.events", "memory.oom_control"):  # v2 and v1
            pairs = [line.split() for line in _text(folder / name).splitlines()]
            total += sum(int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == "oom_kill")
    return total


def _group_folders(proc: Path, root: Path) -> Iterator[Path]:
    """Every folder of the process's memory and cpu groups, from its own up to the mount point."""
    groups = [line.split(":", 2) for line in _text(proc / "cgroup").splitlines() if line.count(":") >= 2]
    for mount_root, mount_point, kind, controllers in _mounts(proc):
        for number, names, path in groups:
            same = number == "0" if kind == "cgroup2" else bool(controllers & set(names.split(",")))
            if same:
                top = root / mount_point.lstrip("/")
                yield from _upwards(top, PurePosixPath(path), PurePosixPath(mount_root))


def _mounts(proc: Path) -> Iterator[tuple[str, str, str, set[str]]]:
    """Root, mount point, file system and controllers of each cgroup mount (proc(5), mountinfo)."""
    for line in _text(proc / "mountinfo").splitlines():
        fields, _, tail = line.partition(" - ")
        parts, kinds = fields.split(), tail.split()
        if len(parts) >= 5 and kinds and kinds[0] in ("cgroup", "cgroup2"):
            controllers = set(kinds[-1].split(",")) & {"memory", "cpu"}
            yield parts[3], parts[4], kinds[0], controllers


def _upwards(top: Path, path: PurePosixPath, mount_root: PurePosixPath) -> Iterator[Path]:
    # In a container the mount shows only a part of the tree; a path outside it means that the mount is our group.
    below = path.relative_to(mount_root) if path.is_relative_to(mount_root) else PurePosixPath()
    folder = top / below
    while True:
        if folder.is_dir():
            yield folder
        if folder == top:
            return
        folder = folder.parent


def _memory(folder: Path) -> Iterator[tuple[float, float]]:
    """Limit and use in MiB; the page cache is not counted as use, the kernel drops it before it kills anybody."""
    limits = [_number(folder / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
    real = [limit for limit in limits if limit is not None and limit < _NO_LIMIT]
    if not real:
        return
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
    yield min(real) / MIB, max(used - _page_cache(folder), 0) / MIB


def _page_cache(folder: Path) -> int:
    values = dict(line.split()[:2] for line in _text(folder / "memory.stat").splitlines() if len(line.split()) >= 2)
    prefix = "total_" if "total_inactive_file" in values else ""
    return sum(int(values.get(f"{prefix}{name}", 0)) for name in ("inactive_file", "active_file"))


def _quota(folder: Path) -> Iterator[float]:
    words = _text(folder / "cpu.max").split()
    if len(words) == 2 and words[0].isdigit():
        yield int(words[0]) / int(words[1])
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    if quota and period and quota > 0:
        yield quota / period


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):  # not this kind of system, or a file this process may not see
        return ""

"""No network for this process and all that it starts: a seccomp filter, which needs no rights and cannot be undone.

Run by itself in a rehearsal, before anything is unpickled: it imports only Python's own modules.
"""

import ctypes
import platform
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER_MODE = 22, 38, 2
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
LOCAL = 1
"""AF_UNIX: sockets that do not leave the computer, which libraries use among their own threads."""
REFUSE = 0x00050000 | 13
"""The call fails with EACCES: PermissionError."""
ALLOW = 0x7FFF0000
MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Architecture as the kernel names it, and the number of its call `socket`."""
IO_URING_SETUP = 425
OTHER_CALLS = 0x40000000
"""Numbers from here on are those of x32, by which the filter could be passed by."""
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06


def forbid_network() -> list[str]:
    """Leave no way out; gives what holds: `seccomp` and, where the system permits, `namespace`.

    Raises:
        OSError: not even the filter can be set, on another system than Linux for example.
    """
    if not sys.platform.startswith("linux") or platform.machine() not in MACHINES:
        raise OSError(f"no filter is known for {sys.platform} on {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    held = ["namespace"] if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 else []
    program = _program(*MACHINES[platform.machine()])
    filters = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(filters)))
    _call(libc, PR_SET_NO_NEW_PRIVS, 1)
    _call(libc, PR_SET_SECCOMP, FILTER_MODE, ctypes.addressof(header))
    return ["seccomp", *held]


def _call(libc: ctypes.CDLL, option: int, *values: int) -> None:
    given = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if libc.prctl(ctypes.c_int(option), *given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"the network cannot be forbidden (prctl {option})")


def _program(architecture: int, socket_call: int) -> bytes:
    """The filter: another architecture, io_uring and any socket that is not local are refused, the rest is allowed."""
    steps = [
        (LOAD, 0, 0, 4),
        (EQUAL, 0, 6, architecture),
        (LOAD, 0, 0, 0),
        (AT_LEAST, 4, 0, OTHER_CALLS),
        (EQUAL, 3, 0, IO_URING_SETUP),
        (EQUAL, 0, 3, socket_call),
        (LOAD, 0, 0, 16),
        (EQUAL, 1, 0, LOCAL),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)

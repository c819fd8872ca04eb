"""Ends the process, and every thread of it, at the first socket to another machine: Linux's own filter of system calls
(seccomp), so that compiled libraries and their threads are seen, too."""

from __future__ import annotations

import ctypes
import platform
import signal
import socket
import struct

KILLED = -signal.SIGSYS
"""The return code, as `subprocess` has it, of a process that opened one."""

_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""How Linux calls them, and the number of ``socket`` there."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL_PROCESS = 0x7FFF0000, 0x80000000


class _Filter(ctypes.Structure):
    _fields_ = (("num_instructions", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def can_be_watched() -> bool:
    """Whether `end_at_the_first_socket` knows this machine."""
    return platform.system() == "Linux" and platform.machine() in _MACHINES


def end_at_the_first_socket() -> None:
    """From now on; it cannot be taken back.

    Raises:
        OSError: the kernel has no such filters.
    """
    machine, socket_call = _MACHINES[platform.machine()]
    program = (  # what it does, where to jump if equal and if not, with what
        (_LOAD, 0, 0, 4), (_JUMP_IF_EQUAL, 0, 5, machine),
        (_LOAD, 0, 0, 0), (_JUMP_IF_EQUAL, 0, 3, socket_call),
        (_LOAD, 0, 0, 16), (_JUMP_IF_EQUAL, 2, 0, socket.AF_INET), (_JUMP_IF_EQUAL, 1, 0, socket.AF_INET6),
        (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _KILL_PROCESS),
    )  # fmt: skip
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    filters = _Filter(len(program), ctypes.cast(instructions, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filters), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "system calls cannot be filtered")

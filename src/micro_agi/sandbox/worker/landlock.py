"""Deny a worker the file system, TCP, abstract sockets and signals, through Landlock.

It does not cover chmod, stat, UDP or sockets with a path: that is what the system call
filter is for. Neither alone is a sandbox.

Source: spec/sandbox.md 7, trap 6; the kernel's Landlock documentation, ABI 1 to 7.
"""

import os
import struct
from collections.abc import Iterable

from micro_agi.sandbox.worker.syscalls import (
    LANDLOCK_ADD_RULE,
    LANDLOCK_CREATE_RULESET,
    LANDLOCK_RESTRICT_SELF,
    LIBC,
    fail,
)

ASK_VERSION = 1
BASIC_FILE_RIGHTS = (1 << 13) - 1
# (first ABI that knows it, bit): rename across directories, truncate, device ioctl.
LATER_FILE_RIGHTS = ((2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
TCP_BIND_AND_CONNECT = 3
ABSTRACT_SOCKETS_AND_SIGNALS = 3
TCP_CONNECT = 2
BENEATH, PORT = 1, 2
EXECUTE, WRITE_FILE, READ_FILE, READ_DIRECTORY = 1, 2, 4, 8
REMOVE, MAKE_DIRECTORY, MAKE_FILE = 16 | 32, 128, 256
RENAME_ACROSS, TRUNCATE = 1 << 13, 1 << 14
READ = EXECUTE | READ_FILE | READ_DIRECTORY
WORK = (
    READ_FILE
    | READ_DIRECTORY
    | WRITE_FILE
    | REMOVE
    | MAKE_DIRECTORY
    | MAKE_FILE
    | RENAME_ACROSS
    | TRUNCATE
)
MAKE_SOCKET, MAKE_PIPE, MAKE_LINK = 1 << 9, 1 << 10, 1 << 12
PROGRAMS_WORK = WORK | EXECUTE | MAKE_SOCKET | MAKE_PIPE | MAKE_LINK
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
"""Those that mean something for a path that is no directory; others are refused there."""
# The size of the attribute the kernel knows: files, then network, then scopes.
SIZES = ((6, 24), (4, 16), (1, 8))


def version() -> int:
    """Return the kernel's Landlock ABI, 0 when it has none."""
    return max(0, int(LIBC.syscall(LANDLOCK_CREATE_RULESET, 0, 0, ASK_VERSION)))


def deny_everything(abi: int) -> None:
    """Restrict this process, for ever, to a rule set that allows nothing."""
    restrict(abi)


def restrict(
    abi: int,
    *,
    readable: Iterable[str] = (),
    writable: Iterable[str] = (),
    executable: Iterable[str] = (),
    ports: Iterable[int] = (),
) -> None:
    """Restrict this process, for ever, to reading some trees and working in others.

    In `executable` ones programs may be run too, and links, pipes and sockets be made. To
    `ports` TCP connections may be made.
    """
    files = BASIC_FILE_RIGHTS
    for since, bit in LATER_FILE_RIGHTS:
        files |= bit if abi >= since else 0
    network = TCP_BIND_AND_CONNECT if abi >= 4 else 0
    scopes = ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0
    size = next(size for since, size in SIZES if abi >= since)
    attributes = struct.pack("<QQQ", files, network, scopes)[:size]
    ruleset = LIBC.syscall(LANDLOCK_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        raise fail("landlock_create_ruleset")
    try:
        for rights, paths in ((READ, readable), (WORK, writable), (PROGRAMS_WORK, executable)):
            for path in paths:
                _allow(ruleset, path, rights & files)
        for port in ports if network else ():
            rule = struct.pack("<QQ", TCP_CONNECT, port)
            if LIBC.syscall(LANDLOCK_ADD_RULE, ruleset, PORT, rule, 0) != 0:
                raise fail("landlock_add_rule")
        if LIBC.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) != 0:
            raise fail("landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            rights &= FILE_RIGHTS
        rule = struct.pack("<Qi", rights, handle)
        if LIBC.syscall(LANDLOCK_ADD_RULE, ruleset, BENEATH, rule, 0) != 0:
            raise fail("landlock_add_rule")
    finally:
        os.close(handle)

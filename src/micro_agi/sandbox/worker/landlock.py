"""Deny a worker the file system, TCP, abstract sockets and signals, through Landlock.

It does not cover chmod, stat, UDP or sockets with a path: that is what the system call
filter is for. Neither alone is a sandbox.

Source: spec/sandbox.md 7, trap 6; the kernel's Landlock documentation, ABI 1 to 7.
"""

import os
import struct

from micro_agi.sandbox.worker.syscalls import (
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
# The size of the attribute the kernel knows: files, then network, then scopes.
SIZES = ((6, 24), (4, 16), (1, 8))


def version() -> int:
    """Return the kernel's Landlock ABI, 0 when it has none."""
    return max(0, int(LIBC.syscall(LANDLOCK_CREATE_RULESET, 0, 0, ASK_VERSION)))


def deny_everything(abi: int) -> None:
    """Restrict this process, for ever, to a rule set that allows nothing."""
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
        if LIBC.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) != 0:
            raise fail("landlock_restrict_self")
    finally:
        os.close(ruleset)

"""What a reader gives up before it looks at the first byte. Called by the programs beside it.

With Landlock it can open no file, use no TCP and signal nobody; without, limits on time,
memory and files are what is left.
"""

import resource
import sys


def confine(*, address_bytes: int, cpu_s: int) -> None:
    """Give up what a reader of one descriptor does not need, for ever."""
    resource.setrlimit(resource.RLIMIT_AS, (address_bytes, address_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform != "linux":
        return
    from micro_agi.sandbox.worker import landlock
    from micro_agi.sandbox.worker.syscalls import PR_SET_NO_NEW_PRIVS, prctl

    prctl(PR_SET_NO_NEW_PRIVS, 1)
    abi = landlock.version()
    if abi:
        landlock.deny_everything(abi)

# source: filters only add, but the call is an attacker's
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.syscall(
        {"x86_64": 317, "aarch64": 277}[__import__("platform").machine()], 1, 0, 0
    )
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"

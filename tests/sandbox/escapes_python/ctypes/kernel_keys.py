# source: the keyring holds secrets of the session
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.syscall(
        {"x86_64": 250, "aarch64": 219}[__import__("platform").machine()], 0, -3, 0
    )
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"

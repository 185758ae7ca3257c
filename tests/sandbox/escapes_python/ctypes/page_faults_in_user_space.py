# source: userfaultfd widens races in the kernel
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.syscall({"x86_64": 323, "aarch64": 282}[__import__("platform").machine()], 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"

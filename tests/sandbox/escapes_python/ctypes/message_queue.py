# source: a queue outlives the process and is found by name
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.mq_open(b"/x", 66, 0o600, None)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"

# source: Landlock does not know chmod (trap 6)
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.chmod(b"/", 0o777)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"

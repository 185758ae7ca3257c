# source: TIOCSTI puts characters into the terminal's input
# expect: value: ENOTTY
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.ioctl(0, 0x5412, b"x")
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"

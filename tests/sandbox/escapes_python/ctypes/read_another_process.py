# source: keys are in the agent's memory
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.process_vm_readv(1, None, 0, None, 0, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"

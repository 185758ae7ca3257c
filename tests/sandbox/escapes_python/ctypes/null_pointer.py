# source: a crash of the interpreter is the worker's alone
# expect: error: the worker ended
import ctypes


def handler(args):
    return ctypes.string_at(1)

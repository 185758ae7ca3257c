# source: map a file of one's own as code
# expect: error: OSError
# level: A
import _ctypes
import ctypes
import pathlib


def handler(args):
    own = pathlib.Path("own.so")
    own.write_bytes(pathlib.Path(_ctypes.__file__).read_bytes())
    return str(ctypes.CDLL(str(own.resolve())))

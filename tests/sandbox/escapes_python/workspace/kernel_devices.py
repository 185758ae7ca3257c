# source: memory and kernel messages are files too
# expect: error: FileNotFoundError
# level: A
import pathlib


def handler(args):
    return pathlib.Path("/dev/mem").read_bytes()

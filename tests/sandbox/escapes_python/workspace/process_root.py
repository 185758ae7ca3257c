# source: /proc leads to the roots of other processes
# expect: error: FileNotFoundError
# level: A
import pathlib


def handler(args):
    return pathlib.Path("/proc/1/root/etc/passwd").read_text()

# source: the environment of the agent holds keys
# expect: error: FileNotFoundError
# level: A
import pathlib


def handler(args):
    return pathlib.Path("/proc/self/environ").read_text()

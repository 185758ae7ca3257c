# source: every file costs kernel memory, even an empty one
# expect: error: No space left
# level: A
import pathlib


def handler(args):
    for n in range(5000):
        pathlib.Path(f"f{n}").touch()

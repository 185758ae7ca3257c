# source: the total counts, not the file
# expect: error: No space left
# level: A
import pathlib


def handler(args):
    for n in range(200):
        pathlib.Path(f"f{n}").write_bytes(bytes(1 << 20))

# source: climb out of the workspace
# expect: error: FileNotFoundError
# level: A
import pathlib


def handler(args):
    return pathlib.Path("../../../../etc/passwd").read_text()

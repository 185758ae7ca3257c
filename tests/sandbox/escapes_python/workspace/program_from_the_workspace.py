# source: make a file executable and start it
# expect: error: PermissionError
# level: A
import os
import pathlib


def handler(args):
    pathlib.Path("run").write_text("#!/bin/sh")
    os.chmod("run", 0o755)
    os.execv("run", ["run"])

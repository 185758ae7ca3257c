# source: a link in the workspace that leads out
# expect: error: PermissionError
import os


def handler(args):
    os.symlink("/etc/passwd", "link")
    return open("link").read()

# source: the machine's /tmp is shared with everybody
# expect: error: Errno
import tempfile


def handler(args):
    return tempfile.mkdtemp(dir="/tmp")

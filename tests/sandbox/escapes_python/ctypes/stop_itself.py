# source: a stopped worker would hold its place for ever; the deadline does not ask it
# expect: error: PermissionError
import os
import signal


def handler(args):
    os.kill(os.getpid(), signal.SIGSTOP)

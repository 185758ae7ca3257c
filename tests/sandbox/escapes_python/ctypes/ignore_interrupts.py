# source: code that cannot be interrupted is killed after the grace
# expect: error: computed for more than
import signal


def handler(args):
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    while True:
        pass

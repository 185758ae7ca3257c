# source: a thread would go on after the call
# expect: error: can't start new thread
import threading


def handler(args):
    threading.Thread(target=print).start()

# source: ask the parent for a function that was not granted
# expect: error: is not granted
import sys


def handler(args):
    for finder in sys.meta_path:
        ask = getattr(finder, "_host", None)
        if ask is not None:
            return ask("registry.get", "app:secret")
    return "no way to the parent found"

# source: edit the worker's own list of granted modules; the parent keeps the one that counts
# expect: error: is not granted
import sys


def handler(args):
    for finder in sys.meta_path:
        if hasattr(finder, "granted"):
            finder.granted = frozenset({"http_client"})
    import http_client

    return http_client.get("https://example.com").status_code

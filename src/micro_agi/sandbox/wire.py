"""Name what crosses the socket between the parent and a worker.

A frame is `HEADER` (payload length, little-endian) and one msgpack list `[op, …]`. The
two sides strictly alternate, one call is in flight, and any byte the parent does not
expect costs the worker its life. Shared with the child: imports nothing of this package.

Source: spec/sandbox.md 6 "Protocol".
"""

import struct

HEADER = struct.Struct("<I")

CALL = 1
"""To the worker: `[op, hash, args, argument count, now_ns, result_bytes, definitions]`."""
CHECK = 2
"""To the worker: the same shape; runs the chunk and finds the method, calls nothing."""
ANSWER = 3
"""To the worker: `[op, value]`, what a host call returned."""
REFUSAL = 4
"""To the worker: `[op, {kind, message, retryable, details}]`, how a host call failed."""

RESULT = 16
"""From the worker: `[op, value]`, the call's first return value."""
ERROR = 17
"""From the worker: `[op, {kind, message, retryable, details, where}]`."""
HOST = 18
"""From the worker: `[op, function, args]`: please do this for me."""
READY = 19
"""From the worker, once, after it locked itself: `[op, true]`."""

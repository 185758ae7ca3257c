"""Name what crosses the socket between the parent and a worker.

A frame is `HEADER` (payload length, little-endian) and one msgpack list `[op, …]`. The
two sides strictly alternate, one call is in flight, and any byte the parent does not
expect costs the worker its life. Host calls come one at a time (`HOST`) while the code has
one thread of control, and in turns (`TURN`) while it has several. Shared with the child:
imports nothing of this package.

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
ANSWERS = 5
"""To the worker: `[op, [[number, [ANSWER or REFUSAL, value]], …]]`, ends a turn. Empty: nothing
finished in the time that the turn gave."""

RESULT = 16
"""From the worker: `[op, value]`, the call's first return value."""
ERROR = 17
"""From the worker: `[op, {kind, message, retryable, details, where}]`."""
HOST = 18
"""From the worker: `[op, function, args]`: please do this for me."""
READY = 19
"""From the worker, once, after it locked itself: `[op, true]`."""
TURN = 20
"""From the worker: `[op, wait_ns, [[number, function, args], …], [number, …]]`: start these host
calls, drop those, and answer when one has finished, or after `wait_ns`; -1 has no end, 0 does not
wait."""

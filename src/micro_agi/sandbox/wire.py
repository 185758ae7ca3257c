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

REQUEST = struct.Struct(">BBBHBI")
"""How a request begins: of fixed width, so that Lua reads all numbers in one step. Parts in
the list, operation, `U16`, number of the unit, `U32`, most bytes of the result."""
FOUR, SIX = 0x94, 0x96
U16, U32 = 0xCD, 0xCE

CALL = 1
"""To the worker: `[op, unit, result_bytes, args]`, and `[…, now_ns, definitions]` when it needs
a clock that stands still, or units that it does not know. The parent numbers the units."""
CHECK = 2
"""To the worker: the same shape; runs the chunk and finds the method, calls nothing."""
ANSWER = 3
"""To the worker: `[op, value]`, what a host call returned."""
REFUSAL = 4
"""To the worker: `[op, {kind, message, retryable, details}]`, how a host call failed."""
ANSWERS = 5
"""To the worker: `[op, [[number, [ANSWER, REFUSAL or FAILURE, value]], …]]`, ends a turn. Empty:
nothing finished in the time that the turn gave."""
FAILURE = 6
"""In `ANSWERS`, in the shape of a refusal: what was asked for began to run, and failed."""

RESULT = 16
"""From the worker: `[op, value]`, the call's first return value."""
ERROR = 17
"""From the worker: `[op, {kind, message, retryable, details, where}]`."""
HOST = 18
"""From the worker: `[op, function, args]`: please do this for me."""
READY = 19
"""From the worker, once, after it locked itself: `[op, knows]`, whether it can use a mailbox."""
TURN = 20
"""From the worker: `[op, wait_ns, [[number, function, args], …], [number, …]]`: start these host
calls, drop those, and answer when one has finished, or after `wait_ns`; -1 has no end, 0 does not
wait."""

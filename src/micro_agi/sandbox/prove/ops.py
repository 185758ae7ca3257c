"""Number what a compromised worker reports, beside the operations of `sandbox/wire.py`."""

DIED, RETURNED, RAISED = 32, 33, 34

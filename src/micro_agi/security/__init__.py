"""Who may do what: pure decisions. Start with `policy.py`, then `actor.py`."""

"""Tool calls as plain text, for models that have no other way. Start reading at `read.py`.

Source: spec/local-agent.md 7.1. `teach.py` writes the very format that `read.py` reads.
"""

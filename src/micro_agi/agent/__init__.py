"""Agents: definition, context, step, turn. Start with `turn.py`."""

"""Evaluate formulas for the `expr` module: read `program.py` first, then down the pipeline.

`lexer` text to tokens, `parser` tokens to `nodes`, `checker` what can be known to be wrong
before running, `evaluator` nodes to a value, with the tables of functions beside it. Nothing
here uses Python's own evaluation or attribute access on values: a formula can only do what
these tables list. Source: spec/runtime.md 6.9.
"""

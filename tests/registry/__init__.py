"""Tests of `micro_agi.registry`."""

"""Tests of `micro_agi.store`."""

"""Runs at hand: what lies in a folder of runs, and which of them a word means."""

"""The code as a part of a run: which source, torch and machine its bits come from, and what has changed since."""

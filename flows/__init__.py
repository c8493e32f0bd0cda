"""What a user runs."""

import os

# Prefect would otherwise greet a person at a terminal with a notice about usage data; a choice made before is kept.
os.environ.setdefault("DO_NOT_TRACK", "1")

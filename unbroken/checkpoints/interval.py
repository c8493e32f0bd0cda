"""How often a checkpoint inside an epoch pays: when what it costs and what a failure loses add up to the least.

Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future Generation Computer Systems
22(3), 2006, which refines Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974.
"""

import math

FIRST_SECONDS = 60.0
"""The interval as long as no checkpoint was written whose cost could be measured."""


def best_interval(cost: float | None, between_failures: float) -> float:
    """Return the seconds between two checkpoints of a cost in seconds, for a mean time between failures in seconds."""
    if cost is None:
        return FIRST_SECONDS
    if cost >= 2 * between_failures:
        return between_failures
    ratio = cost / (2 * between_failures)
    return math.sqrt(2 * cost * between_failures) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - cost

"""A training by any number of processes, called ranks, with the same bits."""

"""What makes the same training the same bytes: exact kernels, generators derived from the seed, and no other thread in them."""

"""From a batch to new weights: gradients, optimizers, learning rate schedulers."""

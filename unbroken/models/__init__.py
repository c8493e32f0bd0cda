"""The network: from inputs to logits, predictions, loss and metrics."""

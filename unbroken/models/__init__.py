"""The network: from inputs to logits, predictions and loss."""

"""Published models in the formats of others: ONNX, torch.export and safetensors."""

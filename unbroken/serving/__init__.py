"""Published models at work: the registry of versions, and predictions for raw rows."""

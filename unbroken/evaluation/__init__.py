"""How good a model is, how sure its predictions are, and whether other code gives the same."""

"""CSV files as Parquet: how each is written, what its columns are, over all of its rows. No torch."""

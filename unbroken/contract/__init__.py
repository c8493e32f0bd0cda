"""The contract of a table: which columns are used, what each is, what is predicted. No torch."""

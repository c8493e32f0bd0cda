"""`python -m deploy`, another name of `unbroken serve | apply | heal | stop`."""

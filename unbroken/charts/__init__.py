"""The report of a run as one page of HTML with charts, for a person who decides by looking."""

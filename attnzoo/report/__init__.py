"""What a reader wants of results: tables, plots, claims and one page; reads files, needs no torch."""

"""What a reader wants of results: tables, claims, plots and a page. Reads files, needs no torch."""

"""`python -m attnzoo score --real DIR --fake DIR`: metrics of generated videos, as published."""

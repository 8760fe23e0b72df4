"""Networks that metrics look through, in the layouts in which their weights were published."""

"""What a run will need, worked out on the meta device: memory, operations, days."""

"""What make run shows."""

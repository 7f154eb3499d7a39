"""What a service does, step by step, without waiting itself; both services run these flows."""

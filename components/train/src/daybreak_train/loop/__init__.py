"""The training loop: the plan, the data, Composer behind an adapter, what is recorded."""

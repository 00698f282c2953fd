"""Two versions of a data set side by side: what came, what went, what changed."""

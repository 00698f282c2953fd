"""The report of a run: the page, the arithmetic of what a larger run needs."""

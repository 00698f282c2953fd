"""The report of a run: the page, its charts, the arithmetic of what a larger run needs."""

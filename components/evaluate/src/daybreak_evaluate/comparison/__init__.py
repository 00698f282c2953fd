"""Two models held against each other, task by task: reading what was judged, testing, showing."""

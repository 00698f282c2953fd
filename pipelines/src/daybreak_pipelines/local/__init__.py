"""A run on one machine or in one pod: processes, progress, the record."""

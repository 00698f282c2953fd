"""Decisions: pure, so that every one of them can be a row of a table. No clock, no files, no client."""

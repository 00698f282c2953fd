"""Boxes: commands of a tool chain, locked in by the judge's own locks. Knows no language and no test."""

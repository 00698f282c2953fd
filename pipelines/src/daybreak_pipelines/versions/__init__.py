"""Versions of a data set: what differs between two of them."""

"""Whether a document parses in its language."""

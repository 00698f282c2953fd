"""Taking documents back from artifacts that were made: which hold them, and how they are mended."""

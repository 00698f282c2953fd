"""Taking documents back from finished runs: who holds them, what is mended, what cannot be."""

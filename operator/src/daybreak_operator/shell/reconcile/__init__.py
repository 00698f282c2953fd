"""One pass over an object: gather, decide, execute."""

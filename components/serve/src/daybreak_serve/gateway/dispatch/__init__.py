"""One request from its body to its answer: which engine is asked, and what is said when none answers."""

"""How people shape the pods that the operator makes: one patch for each object, defaults for a whole installation."""

"""How many replicas, where, and in which market: decided from the load and from what zones gave before."""

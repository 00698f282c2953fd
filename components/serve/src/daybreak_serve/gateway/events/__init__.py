"""What a gateway records: events of suggestions, counters for the operator, metrics for Prometheus."""

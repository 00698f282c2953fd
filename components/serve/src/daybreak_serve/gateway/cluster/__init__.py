"""What a gateway learns from the API server: routing, engines, other gateways."""

"""Which offerings (pool and zone) get replicas: odds, back-off, search, scaling up and down."""

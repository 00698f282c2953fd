"""What lies inside an artifact, where a room reads what another one wrote."""

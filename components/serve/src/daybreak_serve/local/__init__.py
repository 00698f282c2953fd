"""Serving on one machine: Triton and the gateway as local processes, and a client for both."""

"""The step ``calibrate``: what a training takes on this machine, measured on made-up tokens."""

"""Checkpoints that survive a kill at any moment: their files, and the thread that writes them."""

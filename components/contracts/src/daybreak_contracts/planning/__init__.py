"""The arithmetic of a training that its plan, the trainer and the operator share: no torch, no clock, no I/O."""

"""What made a batch: samples and documents of a recorded step, as they were and as the objective made them."""

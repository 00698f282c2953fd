"""One BLAS thread, as the command line has it: on vectors of a few runs threads only wait for each other."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

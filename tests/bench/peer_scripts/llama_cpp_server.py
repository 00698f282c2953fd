"""llama.cpp's server over HTTP for a Llama folder in float32; prints its address and serves until its input ends.

Arguments: a model folder as for `llama_cpp.py`, how many requests at once, and threads.
"""

import sys
import tempfile
from pathlib import Path

import xllamacpp
from llama_cpp import write

folder, places, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with tempfile.TemporaryDirectory() as name:
    file = Path(name) / "model.gguf"
    write(folder, file, half=False)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx = 512 * places
    parameters.n_parallel = places
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.cache_ram_mib = 0
    parameters.warmup = True
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()

"""A GGUF file as others read it: what the package gguf finds in it, and llama.cpp's greedy text after some prompts.

Arguments: the file, and a JSON file {"prompts": [text], "new": count}. Prints {"architecture", "tensors", "texts",
"prompt_tokens": how many ids llama.cpp makes of each prompt}.
"""

import json
import sys
from pathlib import Path

import gguf
import xllamacpp

file, given = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
reader = gguf.GGUFReader(file)
architecture = bytes(reader.fields["general.architecture"].parts[-1]).decode()
tensors = {tensor.name: [int(size) for size in tensor.shape] for tensor in reader.tensors}

parameters = xllamacpp.CommonParams()
parameters.model.path = str(file)
parameters.n_ctx = 512
parameters.n_parallel = 1
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(parameters)
texts, counts = [], []
for prompt in given["prompts"]:
    answer = server.handle_completions({"prompt": prompt, "n_predict": given["new"], "temperature": 0})
    answer = json.loads(answer) if isinstance(answer, str) else answer
    texts.append(answer["choices"][0]["text"])
    counts.append(answer["usage"]["prompt_tokens"])
print(json.dumps({"architecture": architecture, "tensors": tensors, "texts": texts, "prompt_tokens": counts}))

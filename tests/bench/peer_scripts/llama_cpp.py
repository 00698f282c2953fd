"""A Llama folder as GGUF in float32 or float16, and llama.cpp's seconds for prompt and new tokens, greedy, one thread.

Arguments: a model folder whose llama_cpp.safetensors has llama.cpp's names and layout, a JSON file {"prompts": [[token
id]], "new": count}, and f32 or f16. Prompts are ids, the vocabulary is a stand-in. Prints {"prompt_s", "new_s",
"cpu_s": seconds, "tokens": [[id]]}.
"""

import json
import re
import sys
import tempfile
import time
from pathlib import Path

import gguf
import numpy as np
import xllamacpp
from safetensors import safe_open


def write(folder: Path, target: Path, half: bool) -> None:
    """Write what llama.cpp's converter writes for LlamaForCausalLM; tensors have its names and layout already."""
    config = json.loads((folder / "config.json").read_text())
    heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config.get("rope_theta") or config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([f"t{index}" for index in range(config["vocab_size"])])
    writer.add_token_types([gguf.TokenType.NORMAL] * config["vocab_size"])
    writer.add_token_merges(["t 0"])
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    with safe_open(folder / "llama_cpp.safetensors", framework="np") as weights:
        for name in weights.keys():  # noqa: SIM118, it is no mapping
            value = weights.get_tensor(name)
            writer.add_tensor(name, value.astype(np.float16) if half and value.ndim > 1 else value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def served(file: Path) -> xllamacpp.Server:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx = 2048
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.warmup = True
    return xllamacpp.Server(parameters)


def main() -> None:
    folder, given = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "model.gguf"
        write(folder, file, sys.argv[3] == "f16")
        server = served(file)
        found = {"prompt_s": [], "new_s": [], "cpu_s": [], "tokens": []}
        for prompt in given["prompts"]:
            began = time.process_time()
            answer = server.handle_completions(
                {
                    "prompt": prompt,
                    "n_predict": given["new"],
                    "temperature": 0,
                    "ignore_eos": True,
                    "cache_prompt": False,
                }
            )
            found["cpu_s"].append(time.process_time() - began)
            answer = json.loads(answer) if isinstance(answer, str) else answer
            found["prompt_s"].append(answer["timings"]["prompt_ms"] / 1e3)
            found["new_s"].append(answer["timings"]["predicted_ms"] / 1e3)
            text = answer["choices"][0]["text"]
            found["tokens"].append([int(token) for token in re.findall(r"t(\d+)", text)])
    print(json.dumps(found))


if __name__ == "__main__":
    main()

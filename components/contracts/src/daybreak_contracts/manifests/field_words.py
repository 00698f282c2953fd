"""What other tools call our fields: a word that a person knows from there leads to the field that is meant here.

The words are those of PyTorch, Hugging Face's trainer, MosaicML's LLM Foundry, Megatron-LM, Kubernetes' autoscalers
and KServe; a test holds that each of our fields in the table exists. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from daybreak_contracts.resources.near_names import nearest

WORDS: dict[str, tuple[str, ...]] = {
    "peakRate": ("lr", "learning_rate", "max_lr", "peak_lr"),
    "batchTokens": ("batch_size", "global_batch_size", "global_train_batch_size", "train_batch_size"),
    "warmupTokens": ("warmup", "warmup_steps", "t_warmup", "warmup_ratio"),
    "decayShare": ("cooldown", "decay", "decay_steps"),
    "clipNorm": ("clip_grad", "grad_clip", "gradient_clip", "clip_grad_norm", "max_grad_norm", "clipping_threshold"),
    "tokens": ("max_steps", "train_steps", "steps", "max_tokens", "train_tokens", "max_duration", "duration"),
    "deadlineSeconds": ("max_time", "time_limit", "max_runtime", "deadline", "timeout"),
    "contextLength": (
        "seq_len", "max_seq_len", "seq_length", "sequence_length", "max_sequence_length", "block_size",
        "context_size", "context_window", "max_position_embeddings", "n_ctx", "max_length",
    ),
    "nodes": ("num_nodes", "nnodes", "workers", "num_workers", "worker_replicas", "world_size"),
    "gpusPerNode": ("gpus", "num_gpus", "gpu_count", "nproc_per_node", "num_proc_per_node", "devices"),
    "everySeconds": ("every", "interval", "save_steps", "save_interval", "save_every"),
    "keep": ("save_total_limit", "save_num_checkpoints_to_keep", "keep_last", "max_to_keep"),
    "vocabularySize": ("vocab_size", "vocab", "n_vocab"),
    "hiddenSize": ("d_model", "n_embd", "dim", "hidden_dim", "embedding_size"),
    "layers": ("num_hidden_layers", "n_layers", "n_layer", "num_layers", "depth"),
    "heads": ("num_attention_heads", "n_heads", "n_head", "num_heads"),
    "keyValueHeads": ("num_key_value_heads", "n_kv_heads", "num_kv_heads"),
    "intermediateSize": ("ffn_hidden_size", "d_ff", "ffn_dim", "ffn_size"),
    "fillInTheMiddle": ("fim", "infilling", "infill"),
    "nextToken": ("causal", "clm", "causal_lm", "autoregressive", "next_token_prediction"),
    "rate": ("fim_rate", "probability"),
    "spmShare": ("spm_rate", "fim_spm_rate"),
    "licences": ("licenses", "license", "licence"),
    "duplicates": ("dedup", "deduplicate", "deduplication", "minhash", "near_dedup"),
    "personalData": ("pii", "redact", "redaction", "anonymize"),
    "mixture": ("weights", "sampling_weights", "blend", "data_mix"),
    "sources": ("datasets", "dataset", "repos", "repositories", "inputs"),
    "urls": ("url", "repo", "repository", "repos", "repositories", "repo_url"),
    "uris": ("uri", "url", "urls", "files"),
    "ref": ("branch", "revision", "commit", "tag", "target_revision"),
    "directory": ("folder", "dir", "local", "local_path", "host_path"),
    "parquet": ("huggingface", "hf", "hub", "dataset"),
    "suites": ("benchmarks", "tasks", "benchmark"),
    "samplesPerTask": ("num_samples", "n_samples", "num_samples_per_task"),
    "maxTasks": ("limit", "num_tasks"),
    "gates": ("thresholds", "criteria"),
    "runPolicy": ("retry_policy", "restart_policy", "policy"),
    "backoffLimit": ("max_retries", "retries", "max_restarts", "retry_limit"),
    "ttlSecondsAfterFinished": ("ttl", "cleanup_after"),
    "activeDeadlineSeconds": ("run_timeout", "execution_timeout"),
    "accelerator": ("gpu_type", "gpu_product", "instance_type", "machine_type"),
    "market": ("capacity_type", "spot", "preemptible"),
    "pricePerHour": ("price", "cost", "hourly_price"),
    "min": ("min_replicas", "min_replica_count", "min_scale"),
    "max": ("max_replicas", "max_replica_count", "max_scale"),
    "scaleToZeroSeconds": ("scale_to_zero_pod_retention_period", "cooldown_period", "idle_timeout"),
    "targetUtilization": ("target", "target_cpu_utilization_percentage", "target_value"),
    "ramp": ("canary_traffic_percent", "canary", "weights", "steps"),
    "soakSeconds": ("pause", "step_duration", "bake_time", "interval"),
    "runtime": ("engine", "backend", "predictor", "serving_runtime"),
    "model": ("storage_uri", "model_uri"),
    "trainingRunRef": ("training_run", "run", "run_ref"),
    "apiKeysSecretRef": ("api_keys", "keys", "api_key_secret"),
    "jwt": ("oidc", "oauth", "token"),
    "requestsPerMinute": ("rpm", "rate_limit", "rpm_limit"),
    "tokensPerDay": ("tpd", "quota"),
    "concurrency": ("max_parallel_requests", "max_concurrent_requests"),
    "maxConcurrency": ("max_num_seqs", "max_batch_size"),
    "allowedOrigins": ("cors", "allow_origins", "cors_origins", "cors_allowed_origins"),
    "podTemplate": (
        "node_selector", "tolerations", "affinity", "resources", "env", "volumes", "service_account_name",
        "image_pull_secrets", "priority_class_name", "template", "pod_spec", "annotations", "labels",
    ),
}  # fmt: skip

ENDINGS = {
    "python": "py pyi", "javascript": "jsx nodejs", "kotlin": "kt kts", "csharp": "cs", "cpp": "cxx hpp hh mm",
    "c": "h", "powershell": "ps1", "perl": "pl pm", "julia": "jl", "haskell": "hs", "ocaml": "ml",
    "elixir": "ex exs", "erlang": "erl", "clojure": "clj cljs", "hcl": "tf", "solidity": "sol",
    "systemverilog": "sv", "fortran": "f90 f95", "pascal": "pas", "cuda": "cu cuh", "shell": "shellscript",
}  # fmt: skip
"""Endings of files that linguist has no name for: what people write in place of a language."""


def language_meant(word: str) -> str | None:
    """Return the language that files of this ending are written in."""
    return next((name for name, words in ENDINGS.items() if word.lower().lstrip(".") in words.split()), None)


def _plain(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()


_MEANT: dict[str, list[str]] = {}
for _field, _others in WORDS.items():
    for _word in _others:
        _MEANT.setdefault(_plain(_word), []).append(_field)


def fields_meant(word: str) -> list[str]:
    """Return the fields that other tools call so, wherever they stand."""
    return _MEANT.get(_plain(word), [])


def field_named(word: str, known: Iterable[str]) -> str | None:
    """Return the one of the known fields that a word means: by another tool's name for it, or spelt nearly so."""
    names = list(known)
    meant = [name for name in fields_meant(word) if name in names]
    return meant[0] if meant else nearest(word, names)

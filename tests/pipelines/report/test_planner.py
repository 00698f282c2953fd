"""What a real run needs, against published rows."""

from __future__ import annotations

import pytest

from daybreak_contracts.planning import throughput
from daybreak_contracts.planning.plan import Hardware, plan_of
from daybreak_contracts.planning.sizes import SIZES, flops_per_token
from daybreak_contracts.resources.run import TrainingRunSpec
from daybreak_pipelines.report import planner


def test_flops_a_token_follow_the_stated_convention() -> None:
    # 6 N + 12 L d T by hand: 6 * 100_682_496 + 12 * 12 * 768 * 1024
    assert flops_per_token(SIZES["125m"], 32_768, 1024) == pytest.approx(604.1e6 + 113.2e6, rel=1e-3)


def test_a_small_model_takes_what_llm_c_took() -> None:
    """llm.c: 10 B tokens of a 124M model in 45 minutes on 8 H100 (40.1 % MFU at T=1024)."""
    flops = 6 * 124_000_000 + 12 * 12 * 768 * 1024
    found = throughput.published(planner.GPU, 8, 124_000_000, flops)
    assert found is not None
    assert 10e9 / found.likely == pytest.approx(45 * 60, rel=0.05)


def test_the_report_tells_what_the_plan_tells() -> None:
    """The report had a table of its own: 45 % of an H100's peak at 350m, where the plan had 37.5 %."""
    for size in planner.SHOWN:
        spec = TrainingRunSpec.model_validate(
            {
                "output": {"uri": "runs/x"},
                "data": {"sources": [{"name": "a", "directory": {"path": "/a"}}]},
                "model": {"size": size},
                "training": {"gpusPerNode": 8},
            }
        )
        planned = plan_of(spec, Hardware(1, 8, planner.GPU))
        assert planned.tokens_per_second is not None
        shown = planner.need(size, planned.vocabulary_size, planned.context_length, 3.5)
        assert shown.tokens / shown.eight_gpus_s == pytest.approx(planned.tokens_per_second.likely)


def test_more_parameters_need_more_of_everything() -> None:
    small = planner.need("125m", 32_768, 2048, 3.5)
    large = planner.need("1b", 32_768, 2048, 3.5)
    assert large.tokens > small.tokens
    assert large.code_bytes > small.code_bytes
    assert large.one_gpu_s > small.one_gpu_s
    assert small.eight_gpus_s == pytest.approx(small.one_gpu_s / 8)

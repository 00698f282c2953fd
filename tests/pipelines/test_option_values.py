"""What options take, as people write counts, sizes, times and prices; what is refused says what would be right."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_pipelines import cli, option_values

GIB = 1 << 30

TAKEN: list[tuple[Callable[[str], Any], str, Any]] = [
    (option_values.positive, "64", 64),
    (option_values.positive, "1_000", 1000),
    (option_values.positive, "20_000_000_000", 20_000_000_000),
    (option_values.positive, "20,000,000,000", 20_000_000_000),
    (option_values.positive, "20e9", 20_000_000_000),
    (option_values.positive, "1.5e+9", 1_500_000_000),
    (option_values.positive, "20B", 20_000_000_000),
    (option_values.positive, "20 G", 20_000_000_000),
    (option_values.positive, "1.5T", 1_500_000_000_000),
    (option_values.positive, "300m", 300_000_000),
    (option_values.positive, "512k", 512_000),
    (option_values.positive, "999999999999999999", 999_999_999_999_999_999),
    (option_values.not_negative, "0", 0),
    (option_values.not_negative, "3", 3),
    (option_values.numbers, "10, 1,10", (1, 10)),
    (option_values.price, "2.5", 2.5),
    (option_values.price, ".5", 0.5),
    (option_values.duration, "90", 90.0),
    (option_values.duration, "90s", 90.0),
    (option_values.duration, "1.5h", 5400.0),
    (option_values.duration, "1d12h", 129_600.0),
    (option_values.duration, "1h 30m", 5400.0),
    (option_values.time_limit, "2m", 120.0),
    (option_values.memory, "512MiB", 512 << 20),
    (option_values.memory, "2GiB", 2 * GIB),
    (option_values.memory, "2Gi", 2 * GIB),
    (option_values.memory, "1.5GiB", 3 * GIB // 2),
    (option_values.memory, "2G", 2_000_000_000),
    (option_values.memory, "2gb", 2_000_000_000),
    (option_values.memory, "1048576", 1 << 20),
    (option_values.port, "8080", 8080),
    (option_values.origin, "https://ide.example.org:8443", "https://ide.example.org:8443"),
]
REFUSED: list[tuple[Callable[[str], Any], str, str]] = [
    (option_values.positive, "", "must be a whole number"),
    (option_values.positive, "many", "must be a whole number, as 64"),
    (option_values.positive, "0", "at least 1"),
    (option_values.positive, "-3", "must be a whole number"),
    (option_values.positive, "1.5", "must be a whole number"),
    (option_values.positive, "0.2", "at least 1"),
    (option_values.positive, "1,5", "must be a whole number"),
    (option_values.positive, "20,00", "must be a whole number"),
    (option_values.positive, "1e99", "must be at most"),
    (option_values.positive, "9" * 400, "must be at most"),
    (option_values.positive, "inf", "must be a whole number"),
    (option_values.positive, "٣", "must be a whole number"),
    (option_values.not_negative, "-1", "must be a whole number"),
    (option_values.numbers, "1,,2", "as 1,10"),
    (option_values.numbers, "0,1", "as 1,10"),
    (option_values.price, "$2.50", "without a currency"),
    (option_values.price, "inf", "above 0"),
    (option_values.price, "nan", "above 0"),
    (option_values.price, "0", "above 0"),
    (option_values.duration, "", "as 90s"),
    (option_values.duration, "0h", "as 90s"),
    (option_values.duration, "1 week", "as 90s"),
    (option_values.duration, "9" * 400, "as 90s"),
    (option_values.time_limit, "2h", "at most 3600"),
    (option_values.memory, "2 gigabytes", "as 512MiB"),
    (option_values.memory, "0GiB", "as 512MiB"),
    (option_values.memory, "-1GiB", "as 512MiB"),
    (option_values.port, "0", "from 1 to 65535"),
    (option_values.port, "65536", "from 1 to 65535"),
    (option_values.port, "http", "from 1 to 65535"),
    (option_values.origin, "*", "scheme, host and port"),
    (option_values.origin, "https://ide.example.org/", "no path"),
]


@pytest.mark.parametrize(("kind", "text", "value"), TAKEN)
def test_taken(kind: Callable[[str], Any], text: str, value: Any) -> None:
    assert kind(text) == value


@pytest.mark.parametrize(("kind", "text", "said"), REFUSED)
def test_refused(kind: Callable[[str], Any], text: str, said: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as refusal:
        kind(text)
    assert said in str(refusal.value)
    assert str(refusal.value).startswith("must be ")


@given(st.integers(1, option_values.MAX_COUNT))
def test_every_count_is_itself_however_it_is_grouped(count: int) -> None:
    assert [option_values.positive(text) for text in (f"{count}", f"{count:_}", f"{count:,}")] == [count] * 3


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_a_sentence(text: str) -> None:
    """An argparse type that raises anything else ends in its private name: "invalid _positive value"."""
    for kind in {kind for kind, _, _ in TAKEN}:
        try:
            assert kind(text) is not None
        except argparse.ArgumentTypeError as error:
            assert str(error).startswith("must be ")


def options_with_a_type(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [one for sub in action.choices.values() for one in options_with_a_type(sub)]
        elif action.type is not None:
            found.append(action)
    return found


def test_no_option_is_a_bare_number() -> None:
    """`int` takes -3 and says "invalid int value": a number of ours has bounds and a sentence."""
    bare = [action.dest for action in options_with_a_type(cli.parser()) if action.type in (int, float)]
    assert not bare


def test_the_command_line_names_the_option_and_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["plan", "run.yaml", "--tokens", "many"])
    assert ended.value.code == 2
    assert (
        "argument --tokens: must be a whole number, as 64, 1_000, 20e9 or 20B, got many"
        in capsys.readouterr().err
    )

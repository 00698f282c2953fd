"""The page: right words, nothing from outside, nothing that a file name could do to it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_data.xray import page, totals

VOID = {"meta", "wbr", "br", "img", "link", "input", "hr"}


class Strict(HTMLParser):
    """Collects what a browser would act on, and insists on balanced tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parse(html: str) -> Strict:
    parser = Strict()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def words_of(html: str) -> str:
    return " ".join("".join(parse(html).text).split())


def language_row(name: str, **changes: Any) -> dict[str, Any]:
    row = {
        "language": name, "files": 10, "repositories": 2, "bytes": 2000, "lines": 50, "mean_line_length": 39.0,
        "longest_line": 80, "letter_ratio": 0.5, "space_ratio": 0.25, "comment_ratio": 0.1, "redactions": 0,
        "redacted_files": 0, "mean_quality": 0.97,
    }  # fmt: skip
    return {**row, **changes}


def statistics(name: str = "plain", **changes: Any) -> dict[str, list[dict[str, Any]]]:
    """A small but complete x-ray whose every text is ``name``."""
    place = {"path_id": 1, "source": name, "repository": name, "path": f"{name}/{name}"}
    found = {
        "languages": [language_row("python", redactions=2, redacted_files=1), language_row(name, files=1)],
        "sources": [{**language_row("x", files=11, bytes=4000), "source": name}],
        "licences": [{"licence": name, "repositories": 1, "files": 11, "bytes": 4000}],
        "histograms": [
            {"language": language, "measure": measure, "bin": 3, "files": 4, "bytes": 9}
            for language in ("python", name)
            for measure in page.MEASURES
        ],
        "drops": [
            {"stage": "duplicate", "reason": name, "source": name, "language": "c", "files": 3, "bytes": 500},
            {"stage": name, "reason": "binary", "source": "gone", "language": "", "files": 1, "bytes": 7},
        ],
        "drop_examples": [
            {
                **place,
                "stage": "duplicate",
                "reason": name,
                "place": 1,
                "language": name,
                "size_bytes": None,
                "detail": name,
            }
        ],
        "cluster_sizes": [
            {
                "kind": "Exact",
                "clusters": 1,
                "members": 40,
                "removed": 39,
                "removed_bytes": 500,
                "largest": 40,
            }
        ],
        "clusters": [
            {
                "kind": "Exact",
                "cluster_id": 1,
                "members": 40,
                "removed": 39,
                "removed_bytes": 500,
                "repositories": 1,
            }
        ],
        "cluster_members": [
            {
                **place,
                "kind": "Exact",
                "cluster_id": 1,
                "place": 1,
                "kept": True,
                "language": name,
                "size_bytes": 4,
            }
        ],
        "unread": [],
        "personal_data": [{"kind": "email", "rule": name, "source": name, "findings": 2, "files": 1}],
    }
    return {**found, **changes}


def test_the_first_lines_say_in_plain_words_what_happened() -> None:
    said = words_of(page.render("first", "d" * 64, statistics()))
    assert (
        "15 files (4.5 kB) came in from 2 sources. 4 of them (27 %) were dropped: 3 are copies of a file that is kept; "
        "1 left at the stage plain. 11 files (4.0 kB) in 2 languages are kept, after 2 pieces of personal data in "
        "1 file were replaced."
    ) in said
    assert (
        "1 group of identical files (40 files, the largest group has 40); 39 copies were removed, 500 B."
        in said
    )
    assert "and 39 more" in said


def test_files_that_were_never_opened_are_told_apart() -> None:
    large = {
        "stage": "ingest",
        "reason": "too-large",
        "source": "x",
        "language": "",
        "files": 2,
        "bytes": 10**9,
    }
    found = statistics(unread=[{"reason": "sample", "files": 7000, "bytes": 10**8}])
    found["drops"].append(large)
    said = words_of(page.render("t", "d", found))
    assert "15 files (4.5 kB) came in from 3 sources." in said
    assert (
        "Besides, 7,002 files (1.1 GB) were set aside without being read: 7,000 for “sample”, 2 too large. "
        "A source's maxBytes takes a seeded sample of it."
    ) in said
    metrics = totals.metrics_of(found)
    assert (metrics["num_files"], metrics["read_files"], metrics["dropped/unread/sample"]) == (7017, 15, 7000)


def test_broken_parts_that_were_skipped_are_named() -> None:
    found = statistics()
    assert "were skipped" not in words_of(page.render("t", "d", found))
    row = {
        "stage": "ingest",
        "reason": "torn-file",
        "source": "stack",
        "language": "",
        "files": 7,
        "bytes": 0,
    }
    example = {**row, "path_id": 1, "repository": "", "path": "a.parquet", "place": 1, "size_bytes": 0}
    found["drops"].append(row)
    found["drop_examples"].append({**example, "detail": "s3://b/a.parquet is torn, fetch it again"})
    said = words_of(page.render("t", "d", found))
    assert (
        "7 parts of the sources could not be read and were skipped (onError: Skip): "
        "stack, torn file: s3://b/a.parquet is torn, fetch it again and 6 more for “torn file”"
    ) in said


def test_a_page_about_nothing_dropped_is_whole() -> None:
    filled = ("languages", "sources")
    empty: dict[str, Any] = {name: [] for name in statistics() if name not in filled}
    said = words_of(page.render("t", "d", statistics(**empty, languages=[language_row("python")])))
    assert (
        "10 files (2.0 kB) came in from 1 source. None was dropped. 10 files (2.0 kB) in 1 language are kept."
        in said
    )
    for sentence in (
        "Nothing was dropped.",
        "No two files are the same",
        "None was found in the files that are kept.",
    ):
        assert sentence in said


HOSTILE = st.text(
    alphabet="<>&\"'/{}%`=\\ \n\t\x00\u202e" + "ascriptonerr.py:#", max_size=30
) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "{{ 7 * 7 }}",
        "</style><script>",
        "]]>",
        "<!--",
    ]
)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(HOSTILE)
def test_a_hostile_file_name_is_only_ever_text(name: str) -> None:
    parser = parse(page.render(name, name, statistics(name)))
    expected = parse(page.render("plain", "plain", statistics()))
    assert parser.tags == expected.tags
    assert parser.attributes == expected.attributes
    assert not {one for one in parser.attributes if one.startswith("on")}


def test_nothing_is_loaded_from_anywhere() -> None:
    html = page.render("t", "d", statistics())
    parser = parse(html)
    assert {"script", "link", "img", "iframe", "object", "base"}.isdisjoint(parser.tags)
    assert {"src", "href", "srcset", "xlink:href"}.isdisjoint(parser.attributes)
    assert re.findall(r"url\(|@import|https?:", html) == []
    assert "default-src 'none'" in html


def test_each_language_says_what_it_lost_and_why() -> None:
    def drop(language: str, stage: str, reason: str, files: int, size: int) -> dict[str, Any]:
        return {
            "stage": stage,
            "reason": reason,
            "source": "a",
            "language": language,
            "files": files,
            "bytes": size,
        }

    drops = [
        drop("python", "syntax", "syntax-error", 3, 100),
        drop("python", "duplicate", "near", 7, 900),
        drop("lua", "filter", "long-lines", 2, 5000),
        drop("perl", "language", "other-language", 9, 9000),
        drop("", "ingest", "binary", 9, 9000),
    ]
    found = statistics(drops=drops)
    losses = page.losses_of(found)
    assert [(row["language"], row["came_files"], row["files"], row["bytes"]) for row in losses] == [
        ("lua", 2, 2, 5000),
        ("python", 20, 10, 1000),
    ]
    assert [(row["reason"], row["files"]) for row in losses[1]["reasons"]] == [
        ("near", 7),
        ("syntax-error", 3),
    ]
    words = words_of(page.render("t", "d", found))
    assert "What each language lost" in words
    assert "syntax error 3 (15" in words


def test_stages_keep_their_colour_on_every_page() -> None:
    found = statistics()
    first = page.render("t", "d", found)
    alone = page.render("t", "d", statistics(drops=found["drops"][:1]))
    assert 'class="d5"' in first
    assert 'class="d5"' in alone


def test_metrics_count_files_by_reason_over_sources() -> None:
    drops = [{**row, "source": source} for row in statistics()["drops"] for source in ("a", "b")]
    metrics = totals.metrics_of(statistics(drops=drops))
    assert metrics["dropped/duplicate/plain"] == 6
    assert (metrics["num_files"], metrics["num_documents"]) == (19, 11)
    assert metrics["kept_bytes_share"] == pytest.approx(4000 / 5014, abs=1e-6)

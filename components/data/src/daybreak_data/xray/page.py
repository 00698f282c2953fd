"""The x-ray's page: one HTML file without any outside resource, made from the statistics alone.

Owns what is shown, in which words and order; ``page.html.jinja`` has the layout, ``plots`` draws. File names are
hostile input: the template escapes everything that is not markup of ours.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from daybreak_data.xray import measures, plots

TEMPLATE = "page.html.jinja"
NUM_COLOURS = 7
"""Languages with a colour of their own; the others share one."""

Row = dict[str, Any]

STAGES = {
    "ingest": "were empty or could not be read as text",
    "language": "are of a language that was not asked for",
    "sample": "are beyond the source's size limit",
    "filter": "look like data or minified code rather than code that someone wrote",
    "generated": "were written by a program",
    "duplicate": "are copies of a file that is kept",
    "syntax": "do not parse",
    "personal-data": "could not be cleaned of personal data",
    "contamination": "hold a problem of the benchmarks",
}
UNREAD = ("too-large",)
"""Reasons of files that were never opened: they count as set aside, not as come in and dropped."""
KINDS = {"email": "e-mail addresses", "ipAddress": "IP addresses", "key": "keys and passwords"}
MEASURES = {
    "bytes": "Size of a file",
    "lines": "Lines in a file",
    "mean_line": "Mean line length",
    "longest_line": "Longest line",
    "letters_share": "Share of letters",
    "digits_share": "Share of digits",
    "spaces_share": "Share of white space",
    "comments_share": "Share of comment lines",
}


@dataclass(frozen=True)
class Figures:
    """What came in, what was dropped and what is kept, as the page's first lines and the metrics say it."""

    num_files: int
    """Files that were read; ``unread_files`` come on top."""
    num_bytes: int
    unread_files: int
    unread_bytes: int
    num_documents: int
    document_bytes: int
    num_languages: int
    num_sources: int
    num_repositories: int
    redactions: int
    redacted_files: int

    @property
    def dropped_files(self) -> int:
        """Files that came in and are not kept."""
        return self.num_files - self.num_documents

    @property
    def dropped_bytes(self) -> int:
        """Bytes of the files that are not kept."""
        return self.num_bytes - self.document_bytes


def figures_of(found: dict[str, list[Row]]) -> Figures:
    """Return the figures of the statistics."""
    languages, sources, drops = found["languages"], found["sources"], read_drops(found)
    unread = [*found["unread"], *[row for row in found["drops"] if row["reason"] in UNREAD]]
    kept_bytes = sum(row["bytes"] for row in languages)
    kept = sum(row["files"] for row in languages)
    names = {row["source"] for row in sources} | {row["source"] for row in found["drops"]}
    return Figures(
        num_files=kept + sum(row["files"] for row in drops),
        num_bytes=kept_bytes + sum(row["bytes"] for row in drops),
        unread_files=sum(row["files"] for row in unread),
        unread_bytes=sum(row["bytes"] for row in unread),
        num_documents=kept,
        document_bytes=kept_bytes,
        num_languages=len(languages),
        num_sources=len(names),
        num_repositories=sum(row["repositories"] for row in sources),
        redactions=sum(row["redactions"] for row in languages),
        redacted_files=sum(row["redacted_files"] for row in languages),
    )


def read_drops(found: dict[str, list[Row]]) -> list[Row]:
    """Return the drops of files that were read."""
    return [row for row in found["drops"] if row["reason"] not in UNREAD]


def metrics_of(found: dict[str, list[Row]]) -> dict[str, float]:
    """Return the numbers that a tracker keeps: figures, and dropped files by reason."""
    figures = figures_of(found)
    metrics = {
        "num_files": figures.num_files + figures.unread_files,
        "read_files": figures.num_files,
        "read_bytes": figures.num_bytes,
        "num_documents": figures.num_documents,
        "document_bytes": figures.document_bytes,
        "kept_files_share": round(figures.num_documents / max(1, figures.num_files), 6),
        "kept_bytes_share": round(figures.document_bytes / max(1, figures.num_bytes), 6),
        "redactions": figures.redactions,
        "duplicate_clusters": sum(row["clusters"] for row in found["cluster_sizes"]),
    }
    for row in merged(found["drops"], ("stage", "reason")):
        metrics[f"dropped/{row['stage']}/{row['reason']}"] = row["files"]
    for row in found["unread"]:
        metrics[f"dropped/unread/{row['reason']}"] = row["files"]
    return {name: float(value) for name, value in metrics.items()}


def merged(rows: Sequence[Row], keys: tuple[str, ...]) -> list[Row]:
    """Return rows summed over all but these keys, those with most files first."""
    totals: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        total = totals.setdefault(key, {**dict(zip(keys, key, strict=True)), "files": 0, "bytes": 0})
        total["files"] += row["files"]
        total["bytes"] += row["bytes"]
    return sorted(totals.values(), key=lambda row: (-row["files"], *[row[name] for name in keys]))


def render(title: str, digest: str, found: dict[str, list[Row]]) -> str:
    """Return the page."""
    figures = figures_of(found)
    colours = colours_of(found["languages"])
    page: str = _template().render(
        title=title,
        digest=digest,
        figures=figures,
        stages=_stages(read_drops(found)),
        unread=found["unread"],
        stage_words=STAGES,
        kind_words=KINDS,
        ribbon=_ribbon(figures, read_drops(found)),
        languages=found["languages"],
        sources=_sources(found),
        colours=colours,
        plots=_plots(found["histograms"], colours),
        reasons=_reasons(found),
        cluster_sizes=found["cluster_sizes"],
        clusters=_clusters(found),
        personal=_personal(found["personal_data"]),
    )
    return page


@functools.cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("daybreak_data.xray", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    formats = {"number": plots.number, "size": plots.size, "percent": plots.percent}
    environment.filters.update({**formats, "words": words, "path": breakable})
    return environment.get_template(TEMPLATE)


def words(name: str) -> str:
    """Return a kebab-case name as words."""
    return name.replace("-", " ").replace("_", " ")


def breakable(path: str) -> Markup:
    """Return a path, escaped, that a browser may break behind slashes."""
    return Markup("/<wbr>").join(path.split("/"))


def colours_of(languages: Sequence[Row]) -> dict[str, str]:
    """Return the CSS class of each language; the largest have one of their own."""
    return {row["language"]: f"s{min(place, NUM_COLOURS)}" for place, row in enumerate(languages)}


def _stages(drops: Sequence[Row]) -> list[Row]:
    return [
        {
            **row,
            "css": _stage_css(row["stage"]),
            "words": STAGES.get(row["stage"], f"left at the stage {row['stage']}"),
        }
        for row in merged(drops, ("stage",))
    ]


def _stage_css(stage: str) -> str:
    """Return the colour of a stage, the same on every page."""
    known = list(STAGES)
    return f"d{known.index(stage)}" if stage in known else f"d{len(known)}"


def _ribbon(figures: Figures, drops: Sequence[Row]) -> Markup:
    parts = [("kept", "kept", float(figures.document_bytes))]
    parts += [(words(row["stage"]), row["css"], float(row["bytes"])) for row in _stages(drops)]
    shown = [part for part in parts if part[2]]
    return plots.ribbon(shown, "Bytes kept, and bytes dropped by stage")


def _sources(found: dict[str, list[Row]]) -> list[Row]:
    dropped = {row["source"]: row for row in merged(read_drops(found), ("source",))}
    kept = {row["source"]: row for row in found["sources"]}
    names = [*kept, *sorted({row["source"] for row in found["drops"]} - set(kept))]
    nothing: Row = {"files": 0, "bytes": 0}
    empty: Row = {**nothing, "repositories": 0, "redactions": 0}
    return [
        {"source": name, "kept": kept.get(name, empty), "dropped": dropped.get(name, nothing)}
        for name in names
    ]


def _reasons(found: dict[str, list[Row]]) -> list[Row]:
    examples: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in found["drop_examples"]:
        examples[row["stage"], row["reason"]].append(row)
    rows = merged(found["drops"], ("stage", "reason"))
    most = max((row["files"] for row in rows), default=1)
    css = {row["stage"]: row["css"] for row in _stages(found["drops"])}
    return [
        {
            **row,
            "width": 100 * row["files"] / most,
            "css": css[row["stage"]],
            "examples": examples[row["stage"], row["reason"]],
        }
        for row in rows
    ]


def _clusters(found: dict[str, list[Row]]) -> list[Row]:
    members: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in found["cluster_members"]:
        members[row["kind"], row["cluster_id"]].append(row)
    return [{**row, "shown": members[row["kind"], row["cluster_id"]]} for row in found["clusters"]]


def _personal(rows: Sequence[Row]) -> list[Row]:
    totals: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row["kind"], row["rule"])
        total = totals.setdefault(key, {"kind": row["kind"], "rule": row["rule"], "findings": 0, "files": 0})
        total["findings"] += row["findings"]
        total["files"] += row["files"]
    return sorted(totals.values(), key=lambda row: (-row["findings"], row["kind"], row["rule"]))


def _plots(histograms: Sequence[Row], colours: dict[str, str]) -> list[Row]:
    by_measure: dict[str, list[Row]] = defaultdict(list)
    for row in histograms:
        by_measure[row["measure"]].append(row)
    return [
        {"title": title, "svg": _histogram(measure, title, by_measure[measure], colours)}
        for measure, title in MEASURES.items()
        if by_measure[measure]
    ]


def _histogram(measure: str, title: str, rows: Sequence[Row], colours: dict[str, str]) -> Markup:
    places = [row["bin"] for row in rows]
    first, last = min(places), max(places)
    if measure in measures.RATIOS:
        first, last = 0, measures.RATIO_STEPS - 1
    shown = range(first, last + 1)
    edges = [measures.bin_edges(measure, place) for place in shown]
    bins = plots.Bins(
        titles=tuple(f"{_edge(measure, low)} to {_edge(measure, high)}" for low, high in edges),
        labels=_labels(measure, [*(low for low, _ in edges), edges[-1][1]]),
    )
    values: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        values[colours[row["language"]]][row["bin"]] += row["files"]
    names = {css: name for name, css in reversed(colours.items())}
    names[f"s{NUM_COLOURS}"] = "other languages"
    series = [
        plots.Series(names[css], css, tuple(float(values[css][place]) for place in shown))
        for css in sorted(values)
    ]
    return plots.histogram(bins, series, f"{title}: number of files in each range")


def _labels(measure: str, edges: list[float]) -> tuple[tuple[int, str], ...]:
    """Label powers of ten, and every fifth of the ratios."""
    if measure in measures.RATIOS:
        marked = list(range(0, len(edges), measures.RATIO_STEPS // 4))
    else:
        marked = [place for place, edge in enumerate(edges) if edge > 0 and math.log10(edge).is_integer()]
    return tuple((place, _edge(measure, edges[place])) for place in marked)


def _edge(measure: str, value: float) -> str:
    if measure in measures.RATIOS:
        return f"{100 * value:.0f} %"
    if measure == "bytes":
        return (
            f"{value:.0f} B"
            if value < 1000
            else f"{value / 1000:.0f} kB"
            if value < 1e6
            else f"{value / 1e6:.0f} MB"
        )
    return plots.short(value)

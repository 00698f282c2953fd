"""The x-ray's page, made from the statistics alone.

Owns what is shown and in which words; ``page.html.jinja`` has the order, ``daybreak_contracts.report`` the look.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from daybreak_contracts.report import page, plots
from daybreak_contracts.report.formats import size, words
from daybreak_data.sources.entries import BROKEN
from daybreak_data.xray import measures
from daybreak_data.xray.totals import Row, Statistics, merged, read_drops, totals_of

TEMPLATE = "page.html.jinja"
NUM_COLOURS = 7
"""Languages with a colour of their own; the others share one."""
TOP_LICENCES = 20
"""Licences with a row of their own; the others share one."""

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
    "exclusion": "are excluded by the manifest",
    "licence": "have a licence that is not allowed",
}
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


def render(title: str, digest: str, found: Statistics) -> str:
    """Return the page."""
    colours = colours_of(found["languages"])
    return page.render(
        "daybreak_data.xray",
        TEMPLATE,
        title=title,
        digest=digest,
        totals=totals_of(found),
        stages=_stages(read_drops(found)),
        unread=found["unread"],
        kinds=KINDS,
        languages=found["languages"],
        sources=_sources(found),
        licences=found["licences"][:TOP_LICENCES],
        other_licences=_sum_of(found["licences"][TOP_LICENCES:]),
        colours=colours,
        names=dict(sorted(_names(colours).items())),
        histograms=_histograms(found["histograms"], colours),
        reasons=_reasons(found),
        losses=losses_of(found),
        broken=[row for row in _reasons(found) if row["reason"] in BROKEN],
        cluster_sizes=found["cluster_sizes"],
        clusters=_clusters(found),
        personal=_personal(found["personal_data"]),
    )


def colours_of(languages: Sequence[Row]) -> dict[str, str]:
    """Return the CSS class of each language; the largest have one of their own."""
    return {row["language"]: f"s{min(place, NUM_COLOURS)}" for place, row in enumerate(languages)}


def _names(colours: dict[str, str]) -> dict[str, str]:
    """Return the language of each colour."""
    other = f"s{NUM_COLOURS}"
    return {css: "other languages" if css == other else name for name, css in colours.items()}


def _stages(drops: Sequence[Row]) -> list[Row]:
    return [
        {
            **row,
            "part": (_stage_css(row["stage"]), words(row["stage"]), row["bytes"]),
            "words": STAGES.get(row["stage"], f"left at the stage {row['stage']}"),
        }
        for row in merged(drops, ("stage",))
    ]


def _stage_css(stage: str) -> str:
    """Return the colour of a stage, the same on every page."""
    known = list(STAGES)
    return f"d{known.index(stage) if stage in known else len(known) - 1}"


def _sources(found: Statistics) -> list[Row]:
    dropped = {row["source"]: row for row in merged(read_drops(found), ("source",))}
    kept = {row["source"]: row for row in found["sources"]}
    names = [*kept, *sorted({row["source"] for row in found["drops"]} - set(kept))]
    nothing: Row = {"files": 0, "bytes": 0}
    empty: Row = {**nothing, "repositories": 0, "redactions": 0}
    return [
        {"source": name, "kept": kept.get(name, empty), "dropped": dropped.get(name, nothing)}
        for name in names
    ]


def _sum_of(rows: Sequence[Row]) -> Row:
    return {"licences": len(rows), **{name: sum(row[name] for row in rows) for name in ("files", "bytes")}}


def _reasons(found: Statistics) -> list[Row]:
    examples: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in found["drop_examples"]:
        examples[row["stage"], row["reason"]].append(row)
    return [
        {**row, "css": _stage_css(row["stage"]), "examples": examples[row["stage"], row["reason"]]}
        for row in merged(found["drops"], ("stage", "reason"))
    ]


def losses_of(found: Statistics) -> list[Row]:
    """Return for each language what came in, what was dropped, and the reasons, the most lost bytes first.

    Files of languages that were not asked for, and of none, are no loss.
    """
    drops = [
        row for row in read_drops(found) if row["language"] and row["stage"] not in ("language", "sample")
    ]
    kept = {row["language"]: row for row in found["languages"]}
    losses: list[Row] = []
    for lost in merged(drops, ("language",)):
        language = lost["language"]
        own = [row for row in drops if row["language"] == language]
        here = kept.get(language, {"files": 0, "bytes": 0})
        losses.append(
            {
                **lost,
                "came_files": lost["files"] + here["files"],
                "came_bytes": lost["bytes"] + here["bytes"],
                "reasons": merged(own, ("stage", "reason")),
            }
        )
    return sorted(losses, key=lambda row: (-row["bytes"], row["language"]))


def _clusters(found: Statistics) -> list[Row]:
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


def _histograms(histograms: Sequence[Row], colours: dict[str, str]) -> list[tuple[str, str]]:
    by_measure: dict[str, list[Row]] = defaultdict(list)
    for row in histograms:
        by_measure[row["measure"]].append(row)
    return [
        (title, _histogram(measure, title, by_measure[measure], colours))
        for measure, title in MEASURES.items()
        if by_measure[measure]
    ]


def _histogram(measure: str, title: str, rows: Sequence[Row], colours: dict[str, str]) -> str:
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
    names = _names(colours)
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
    return size(round(value)).replace(".0 ", " ") if measure == "bytes" else plots.short(round(value))

"""StarCoder2's published rules as an ordered table, thresholds with their source beside them. Pure.

Does not own: OpenCoder's rules of the profile Strict (opencoder.py) and generated code (generated.py).

Sources: StarCoder2 and The Stack v2 (arXiv 2402.19173, section 2.1), bigcode-dataset/preprocessing,
as docs/thresholds.md lists them.
"""

from __future__ import annotations

import re
from functools import cache

from daybreak_data.rules.encoded import encoded_lengths
from daybreak_data.rules.languages import family_of
from daybreak_data.rules.measures import FilterRule, MeasuredText
from daybreak_data.rules.written_data import is_written

MOST_ENCODED = 0.5  # StarCoder2: share of all matches
SMALL_PART, MOST_IN_A_SMALL_PART = 0.1, 8  # ours: a share of the text, and a multiple of the longest run
MOST_IF_WRITTEN = 8  # ours: workflows and values of charts have up to 2,800 lines, rendered ones more
LEAST_VISIBLE, LEAST_VISIBLE_SHARE = 100, 0.2  # StarCoder: visible text of HTML
XML_HEAD = 100  # StarCoder: "<?xml version=" in the first 100 characters

DIGITS_COUNT = frozenset(("motorola-68k-assembly", "webassembly"))
XML_DIALECTS = frozenset(
    ("xml", "xslt", "svg", "html", "wsdl", "xproc", "xpages", "ant-build-system", "genshi")
)
# Whose templates are of XML as often as not.
TEMPLATES = frozenset(
    (
        *("blade", "ejs", "freemarker", "handlebars", "jinja", "latte", "liquid", "mako", "mustache"),
        *("html+ecr", "html+eex", "html+erb", "html+php", "html+razor", "nunjucks", "smarty", "twig"),
        "velocity-template-language",
    )
)

_RUN = re.compile(r"([^\w\s])(?<=\1\1\1\1)")
"""A sign behind three of its kind: a rule, a banner."""
_INVISIBLE = rb"(?is)<(?:script|style)\b[^>]*>.*?</(?:script|style)\s*>|<!--.*?-->|<[^>]*>"


def has_too_many_lines(document: MeasuredText) -> str | None:
    """More than 100,000 lines."""
    count, limit = len(document.lines), document.limits.max_lines
    return f"{count} lines, at most {limit}" if count > limit else None


def has_a_line_that_is_too_long(document: MeasuredText) -> str | None:
    """A line of more than 1,000 characters; 100,000 where prose or data stands on long lines."""
    longest, limit = document.longest_line, document.limits.max_line_length
    return f"a line of {longest} characters, at most {limit}" if longest > limit else None


def has_lines_that_are_long_on_average(document: MeasuredText) -> str | None:
    """A mean of more than 100 characters, except where prose or data stands on long lines."""
    mean, limit = document.mean_line, document.limits.max_mean_line_length
    return f"{mean:.1f} characters a line on average, at most {limit}" if mean > limit else None


def has_too_few_letters(document: MeasuredText) -> str | None:
    """Less than a quarter of the characters are letters (letters and digits in assembly).

    A run of blanks or of one sign counts once: a macro of many lines has its backslashes in one column, a table of
    Markdown its bars, a skeleton its banners.
    """
    count = document.letters + (document.digits if document.language in DIGITS_COUNT else 0)
    share, least = document.share(count), document.limits.min_letters
    if share >= least or (document.words and count >= least * len(_RUN.sub("", " ".join(document.words)))):
        return None
    return f"{share:.1%} letters, at least {least:.0%}"


def holds_encoded_data(document: MeasuredText) -> str | None:
    """Base64, hexadecimal bytes or Unicode escapes: half of the file, or a long run that is no small part of it.

    StarCoder2 drops a file for one run of more than 1,024 characters, however long the file is: one certificate
    among 55,000 characters of tests. Here such a run may be eight times as long where it is a small part.
    """
    size, most = len(document.data), document.limits.max_encoded_length
    for lengths in encoded_lengths(document.data):
        longest, total = max(lengths, default=0), sum(lengths)
        limit = most if total > SMALL_PART * size else MOST_IN_A_SMALL_PART * most
        if longest > limit:
            return f"{longest} characters of encoded data in one run, at most {limit}"
        if total > MOST_ENCODED * size:
            return f"{total / size:.0%} encoded data, at most {MOST_ENCODED:.0%}"
    return None


def is_a_data_file_with_too_many_lines(document: MeasuredText) -> str | None:
    """Text, JSON, YAML, OWL or DOT of more than 512 lines; of more than eight times as many where a person wrote it."""
    count, limit = len(document.lines), document.limits.max_data_lines
    if count <= limit:
        return None
    if count <= MOST_IF_WRITTEN * limit and is_written(document.text, _family(document), document.path):
        return None
    return f"{count} lines of {document.language}, at most {limit}"


def is_of_unfit_size(document: MeasuredText) -> str | None:
    """Fewer or more characters than the manifest says, or JSON or YAML of fewer than 50."""
    count, limits = len(document.text), document.limits
    if limits.min_characters <= count <= limits.max_characters:
        return None
    least, most = limits.min_characters, limits.max_characters
    bound = f"at least {least}" if count < least else f"at most {most}"
    return f"{count} characters of {document.language}, {bound}"


def is_a_data_file_of_unfit_size(document: MeasuredText) -> str | None:
    """JSON or YAML of more than 5,000 characters that nobody wrote by hand."""
    count, limit = len(document.text), document.limits.max_data_characters
    if count <= limit or is_written(document.text, _family(document), document.path):
        return None
    return f"{count} characters of {document.language}, at most {limit}"


def is_html_with_little_text(document: MeasuredText) -> str | None:
    """HTML whose visible text is under 100 characters or under a fifth of the file."""
    if document.language != "html":
        return None
    visible = len(b" ".join(_invisible().sub(b" ", document.data).split()).decode("utf-8", "replace"))
    share = document.share(visible)
    if visible >= LEAST_VISIBLE and share >= LEAST_VISIBLE_SHARE:
        return None
    return (
        f"{visible} visible characters ({share:.0%}), at least {LEAST_VISIBLE} and {LEAST_VISIBLE_SHARE:.0%}"
    )


def is_xml_in_disguise(document: MeasuredText) -> str | None:
    """An XML declaration in the first 100 characters of something that is called otherwise."""
    if _family(document) in XML_DIALECTS | TEMPLATES:
        return None
    place = document.text.find("<?xml version=", 0, XML_HEAD)
    in_string = document.text[: max(place, 0)].endswith(("'", '"', "`"))  # of a program
    if place < 0 or in_string:
        return None
    return f"an XML declaration in a file of {document.language or 'no known language'}"


STARCODER2 = (
    FilterRule("too-many-lines", has_too_many_lines),
    FilterRule("long-line", has_a_line_that_is_too_long),
    FilterRule("long-mean-line", has_lines_that_are_long_on_average),
    FilterRule("few-letters", has_too_few_letters),
    FilterRule("xml-in-disguise", is_xml_in_disguise),
    FilterRule("data-file-lines", is_a_data_file_with_too_many_lines),
    FilterRule("unfit-characters", is_of_unfit_size),
    FilterRule("data-file-size", is_a_data_file_of_unfit_size),
    FilterRule("encoded-data", holds_encoded_data),
    FilterRule("little-visible-text", is_html_with_little_text),
)


def _family(document: MeasuredText) -> str:
    return family_of(document.language) if document.language else ""


@cache
def _invisible() -> re.Pattern[bytes]:
    import re2

    pattern: re.Pattern[bytes] = re2.compile(_INVISIBLE)
    return pattern

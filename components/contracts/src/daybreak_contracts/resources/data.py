"""What a run trains on: the sources, and what is done to their files. Owns no rule of the data steps themselves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from daybreak_contracts.resources import rules
from daybreak_contracts.resources.fields import (
    Between,
    DocumentId,
    Epochs,
    Excluded,
    GitReference,
    Name,
    Ratio,
    Resource,
    Text,
    Uri,
)
from daybreak_contracts.resources.languages import Language
from daybreak_contracts.resources.licences import Licences
from daybreak_contracts.resources.problems import ProblemFile


class DirectorySource(Resource):
    """A folder of source code; every folder directly below it counts as one repository."""

    path: Uri
    """The folder."""


class TableSource(Resource):
    """Rows with the text of one file each: which columns hold what."""

    rules = (rules.stored("uri"),)

    uri: Uri
    """A file, or a folder of them; a folder that is named as `lang=Python` gives its rows the column `lang`."""
    content_column: Text = "content"
    """Column that holds the text."""
    path_column: Text = "path"
    """Column that holds the file's path in its repository; empty means there is none."""
    language_column: Text = ""
    """Column that holds the language, as in "C++"; empty, or a language nobody knows: found from path and text."""
    licence_column: Text = ""
    """Column that holds the licence, or a list of licences; empty means unknown."""
    repository_column: Text = ""
    """Column that holds the repository; empty means every row is a repository of its own."""


class ParquetSource(TableSource):
    """Parquet files with one source file a row, as in The Stack."""


class JsonLinesSource(TableSource):
    """JSON Lines: one JSON object a line, one source file an object; `.jsonl` or `.ndjson`, plain or as gz or zst."""


class GitSource(Resource):
    """Git repositories, cloned without history at one reference."""

    rules = (rules.cloneable("urls"),)

    urls: Annotated[tuple[Uri, ...], Field(min_length=1, max_length=256)]
    """Where the repositories are: anything that `git clone` takes, bundle files too."""
    ref: GitReference = ""
    """Branch, tag or commit (7 hex digits or more); empty means each repository's default branch."""


class ArchivesSource(Resource):
    """Archives: tar (plain, gz, bz2, xz, zst), zip, wheel, npm and deb packages."""

    rules = (rules.all_stored("uris"),)

    uris: Annotated[tuple[Uri, ...], Field(min_length=1, max_length=256)]
    """The archives; each counts as one repository."""


class InstalledPackagesSource(Resource):
    """The source code of this Python environment: the standard library and the installed packages."""

    packages: Annotated[tuple[Text, ...], Field(max_length=256)] = ()
    """Only these distributions; empty means all of them and the standard library (named ``stdlib``)."""


class Source(Resource):
    """One named source. Adding one re-uses the work done on the others."""

    rules = (rules.exactly_one("directory", "parquet", "jsonl", "git", "archives", "installed_packages"),)
    list_keys = ("name",)

    name: Name
    """Name of the source in reports and counts."""
    directory: DirectorySource | None = None
    """A folder of source code."""
    parquet: ParquetSource | None = None
    """Parquet files with one source file a row."""
    jsonl: JsonLinesSource | None = None
    """JSON Lines with one source file a line."""
    git: GitSource | None = None
    """Git repositories."""
    archives: ArchivesSource | None = None
    """Archives and packages."""
    installed_packages: InstalledPackagesSource | None = None
    """The source code of this Python environment."""
    max_bytes: Annotated[int, Between(1, 1 << 50)] | None = None
    """Take a seeded random sample of files of about this many bytes; absent means everything."""
    on_error: Literal["Fail", "Skip"] = "Fail"
    """What a broken part (a torn file, a repository with missing objects) does: Fail ends the step and names it,
    Skip leaves it out, counts it in the result and names it on the x-ray page."""


class Exclusion(Resource):
    """What must not be trained on, whatever a source holds: files are dropped and counted as `excluded`."""

    repositories: Annotated[tuple[Excluded, ...], Field(max_length=4096)] = ()
    """Repositories as reports name them, as `owner/name`."""
    owners: Annotated[tuple[Excluded, ...], Field(max_length=4096)] = ()
    """What stands before the first `/` of a repository's name."""
    paths: Annotated[tuple[Excluded, ...], Field(max_length=1024)] = ()
    """Globs of paths in a repository: `*` stays in one folder, `**` does not; without a `/` it is any file's name."""
    document_ids: Annotated[tuple[DocumentId, ...], Field(max_length=4096)] = ()
    """Documents by their id (SHA-256 of the text), as documents and shards hold it."""


class LanguageFilters(Resource):
    """Thresholds of one language; what is left out stays as the profile has it."""

    rules = (rules.ordered_decimals("min_characters", "max_characters"),)
    list_keys = ("language",)

    language: Language
    """The language that these thresholds are for."""
    max_lines: Annotated[int, Between(1, 1_000_000)] | None = None
    """Most lines of a file; published: 100,000, and 512 for JSON and YAML that hold data."""
    max_line_length: Annotated[int, Between(1, 10_000_000)] | None = None
    """Most characters of a line; published: 1,000, and 100,000 for HTML, JSON, Markdown and XML."""
    max_mean_line_length: Annotated[int, Between(1, 10_000_000)] | None = None
    """Most characters of a line on average; published: 100, no bound for HTML, JSON, Markdown and XML."""
    min_characters: Annotated[int, Between(1, 10_000_000)] | None = None
    """Fewest characters of a file; published: 50 for JSON and YAML, no bound for others."""
    max_characters: Annotated[int, Between(1, 10_000_000)] | None = None
    """Most characters of a file; published: 5,000 for JSON and YAML that hold data, no bound for others."""
    min_letters: Ratio | None = None
    """Smallest share of letters; published: "0.25"."""
    max_encoded_length: Annotated[int, Between(1, 10_000_000)] | None = None
    """Most characters of one run of base64, hexadecimal bytes or Unicode escapes; published: 1,024."""


class Filters(Resource):
    """Which files are good enough."""

    rules = (rules.unique("languages", "language"),)

    profile: Literal["None", "StarCoder2", "Strict"] = "StarCoder2"
    """StarCoder2: the published rules; Strict adds OpenCoder's; None keeps every file that can be read."""
    languages: Annotated[tuple[LanguageFilters, ...], Field(max_length=32)] = ()
    """Other thresholds for single languages, as `{language: sql, maxLineLength: 5000}`."""
    min_quality: Ratio = "0"
    """Drop documents of a lower quality: the share of OpenCoder's rules that a document keeps, 0 to 1."""


class Duplicates(Resource):
    """Near-duplicate removal: MinHash of 5-grams, 256 permutations, Jaccard threshold."""

    threshold: Ratio = "0.70"
    """Files at least this similar (Jaccard) are duplicates of each other."""
    scope: Literal["None", "Exact", "File"] = "File"
    """None keeps everything, Exact drops equal files, File also near-duplicates."""


Handling = Literal["Redact", "Keep", "Drop"]


class PersonalData(Resource):
    """What happens to personal data: Redact replaces it, Drop drops the file, Keep leaves it."""

    emails: Handling = "Redact"
    """E-mail addresses."""
    ip_addresses: Handling = "Redact"
    """IPv4 and IPv6 addresses that belong to somebody; private and documentation ranges stay."""
    keys: Handling = "Redact"
    """API keys, tokens, private keys."""


class MixtureRow(Resource):
    """How often some of the documents are trained on in one pass over the data."""

    rules = (rules.at_least_one("source", "language"),)

    source: Name | None = None
    """Only documents of this source; absent means of any."""
    language: Language | None = None
    """Only documents of this language; absent means of any."""
    epochs: Epochs
    """Times that each is written: "2" twice, "0.5" a seeded half of them once, "0" none. Held-out ones stay once."""


class Executors(Resource):
    """Where Spark runs."""

    count: Annotated[int, Between(0, 1000)] = 0
    """0 = one process, ``local[*]``; n = Spark on Kubernetes with n executor pods."""


class Data(Resource):
    """Which code, and what is done to it before training."""

    rules = (
        rules.unique("sources", "name"),
        rules.unique("decontaminate_files", "uri"),
        rules.refers_to("mixture", "source", "sources"),
        rules.unique_pairs("mixture", "source", "language"),
    )

    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=32)]
    """Where the code comes from."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=256)] = (
        "python",
        "javascript",
        "typescript",
        "java",
        "go",
        "c",
        "cpp",
        "rust",
    )
    """Languages to keep, by linguist's names; files of others are dropped and counted."""
    filters: Filters = Filters()
    """Which files are good enough."""
    duplicates: Duplicates = Duplicates()
    """What counts as the same file twice."""
    licences: Licences = Licences()
    """Which licences the files may have."""
    personal_data: PersonalData = PersonalData()
    """What happens to e-mail addresses, IP addresses and keys."""
    decontaminate: Annotated[tuple[Literal["HumanEval"], ...], Field(max_length=8)] = ("HumanEval",)
    """Benchmarks whose problems and solutions must not be trained on."""
    decontaminate_files: Annotated[tuple[ProblemFile, ...], Field(max_length=16)] = ()
    """Files of problems, as `problems` of a suite, that must not be trained on either."""
    exclude: Exclusion = Exclusion()
    """Repositories, owners, paths and documents that are left out."""
    mixture: Annotated[tuple[MixtureRow, ...], Field(max_length=32)] = ()
    """Weights by source and language, as `{source: internal, epochs: "3"}`; the epochs of all rows that match a
    document are multiplied, and a document that none matches has one."""
    layout: Literal["File", "Repository"] = "File"
    """File: documents stand alone, in random order. Repository: those of one repository stand behind one another in the
    order of their paths, so that a model learns from, and may be asked with, other files in front."""
    executors: Executors = Executors()
    """Where Spark runs."""

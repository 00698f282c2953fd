"""What files say about licences, of which folder, and whose word counts for a document."""

from __future__ import annotations

import json

import pytest

from daybreak_data.licences import RepositoryLicences, evidence_of, gives_evidence, spdx_header

MIT = """MIT License

Copyright (c) 2031 Ada Muster

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
ISC = """Copyright (c) 2031, Ada Muster

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted,
provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT,
INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF
THIS SOFTWARE.
"""
APACHE = """Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in
compliance with the License. You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software distributed under the License is distributed on an
"AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for the specific
language governing permissions and limitations under the License.
"""
HOUSE = "House licence\n\nYou may look at this code on Tuesdays and tell nobody.\n" * 3


def package(**content: object) -> str:
    return json.dumps({"name": "a", **content})


REPOSITORIES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "nothing": ({"README.md": "MIT"}, {"a.py": "unknown"}),
    "one text": ({"LICENSE": MIT}, {"a.py": "MIT", "deep/down/a.py": "MIT"}),
    "other names": ({"COPYING.txt": ISC}, {"a.py": "ISC"}),
    "a British name": ({"LICENCE.md": MIT}, {"a.py": "MIT"}),
    "as Rails names it": ({"MIT-LICENSE": MIT}, {"a.py": "MIT"}),
    "a notice alone": ({"NOTICE": APACHE}, {"a.py": "Apache-2.0"}),
    "a notice beside a text": ({"NOTICE": APACHE, "LICENSE": MIT}, {"a.py": "MIT"}),
    "a folder of its own": (
        {"LICENSE": MIT, "vendor/x/LICENSE": ISC},
        {"a.py": "MIT", "vendor/x/y/a.py": "ISC"},
    ),
    "a folder of nobody's licence": (
        {"LICENSE": MIT, "vendor/x/LICENSE": HOUSE},
        {"a.py": "MIT", "vendor/x/a.py": "unknown", "vendor/a.py": "MIT"},
    ),
    "a choice of files": ({"LICENSE-MIT": MIT, "LICENSE-APACHE": APACHE}, {"a.rs": "Apache-2.0 OR MIT"}),
    "a sum of files": ({"LICENSE": MIT, "COPYING": ISC}, {"a.c": "ISC AND MIT"}),
    "two texts in a file": ({"LICENSE": f"{MIT}\n\n{ISC}"}, {"a.c": "MIT AND ISC"}),
    "a licence of something else": ({"LICENSE": MIT, "LICENSE_V8": ISC}, {"a.c": "MIT"}),
    "a program about licences": ({"license.py": MIT, "licenses.tsx": MIT}, {"a.c": "unknown"}),
    "a page about licences": (
        {"docs/license.md": "# License\n\n" + "We like it. " * 300 + MIT},
        {"a.c": "unknown"},
    ),
    "npm": ({"package.json": package(license="MIT")}, {"a.js": "MIT"}),
    "old npm": (
        {"package.json": package(licenses=[{"type": "MIT"}, {"type": "ISC"}])},
        {"a.js": "MIT OR ISC"},
    ),
    "npm's own default": ({"package.json": package(license="ISC")}, {"a.js": "unknown"}),
    "npm's own default in a folder": (
        {"LICENSE": MIT, "ui/package.json": package(license="ISC")},
        {"ui/a.js": "MIT"},
    ),
    "npm, a workspace": (
        {"LICENSE": MIT, "packages/b/package.json": package(license="Apache-2.0")},
        {"a.js": "MIT", "packages/b/a.js": "Apache-2.0"},
    ),
    "npm without a word": ({"LICENSE": MIT, "b/package.json": package()}, {"b/a.js": "MIT"}),
    "a text beats metadata": (
        {"LICENSE": MIT, "package.json": package(license="Apache-2.0")},
        {"a.js": "MIT"},
    ),
    "metadata knows a choice": (
        {"LICENSE": MIT, "COPYING": ISC, "Cargo.toml": '[package]\nlicense = "MIT OR ISC"\n'},
        {"a.rs": "MIT OR ISC"},
    ),
    "Cargo": (
        {"Cargo.toml": '[package]\nname = "a"\nlicense = "MIT/Apache-2.0"\n'},
        {"a.rs": "MIT OR Apache-2.0"},
    ),
    "a Cargo workspace": ({"Cargo.toml": '[workspace.package]\nlicense = "MIT"\n'}, {"b/a.rs": "MIT"}),
    "pyproject": ({"pyproject.toml": '[project]\nlicense = "BSD-3-Clause"\n'}, {"a.py": "BSD-3-Clause"}),
    "old pyproject": ({"pyproject.toml": '[project]\nlicense = {text = "MIT License"}\n'}, {"a.py": "MIT"}),
    "Poetry": ({"pyproject.toml": '[tool.poetry]\nlicense = "MIT"\n'}, {"a.py": "MIT"}),
    "a classifier": (
        {"setup.cfg": "[metadata]\nclassifiers =\n  License :: OSI Approved :: MIT License\n"},
        {"a.py": "MIT"},
    ),
    "a gem": ({"a.gemspec": 'Gem::Specification.new do |s|\n  s.license = "MIT"\nend\n'}, {"a.rb": "MIT"}),
    "a gem with two": ({"a.gemspec": "  spec.licenses = ['MIT', 'Ruby']\n"}, {"a.rb": "MIT AND Ruby"}),
    "Maven": (
        {
            "pom.xml": "<project>\n<licenses><license><name>Apache License 2.0</name></license></licenses>\n"
            "</project>"
        },
        {"a.java": "Apache-2.0"},
    ),
    "Composer": ({"composer.json": package(license=["MIT", "GPL-2.0"])}, {"a.php": "MIT OR GPL-2.0-only"}),
    "NuGet": ({"b/b.csproj": "<PackageLicenseExpression>MIT</PackageLicenseExpression>"}, {"b/a.cs": "MIT"}),
    "a wheel": (
        {
            "a-1.0.dist-info/METADATA": "Metadata-Version: 2.4\nName: a\nLicense-Expression: MIT\n\nLicense: ISC\n"
        },
        {"a/b.py": "MIT"},
    ),
    "a wheel with its text": ({"a-1.0.dist-info/licenses/LICENSE": ISC}, {"a/b.py": "ISC"}),
    "a Debian package": (
        {
            "usr/share/doc/a/copyright": "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
            "Files: *\nCopyright: 2031 Ada Muster\nLicense: Expat\n\nFiles: debian/*\nLicense: GPL-2+\n"
        },
        {"usr/lib/a.py": "MIT"},
    ),
    "metadata that is torn": (
        {
            "package.json": "{",
            "Cargo.toml": "[",
            "setup.cfg": "x",
            "pyproject.toml": "license = 3\n",
            "pom.xml": "<",
        },
        {"a.js": "unknown"},
    ),
    "metadata of odd shapes": (
        {"package.json": "[3]", "composer.json": package(license={"type": 7}), "Cargo.toml": "package = 3\n"},
        {"a.js": "unknown"},
    ),
}


@pytest.mark.parametrize(("files", "expected"), REPOSITORIES.values(), ids=REPOSITORIES)
def test_the_licence_of_a_document(files: dict[str, str], expected: dict[str, str]) -> None:
    found = [evidence_of("r", path, text.encode()) for path, text in files.items()]
    licences = RepositoryLicences([("s", item) for item in found if item is not None])
    assert {path: licences.licence_of("s", "r", path, "") for path in expected} == expected
    assert {licences.licence_of("s", "other", path, "") for path in expected} == {"unknown"}
    assert {licences.licence_of("s", "r", path, "0BSD") for path in expected} == {"0BSD"}


def test_what_has_no_name_of_evidence_is_not_looked_into() -> None:
    assert [
        path for path in ("a.py", "a/README.md", "license.go", "src/copying.rs") if gives_evidence(path)
    ] == []


@pytest.mark.parametrize(
    ("language", "text", "own"),
    [
        (
            "c",
            "/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */\nint x;\n",
            "GPL-2.0-only WITH Linux-syscall-note",
        ),
        ("c", "// SPDX-License-Identifier: (GPL-2.0+ OR MIT)\nint x;\n", "GPL-2.0-or-later OR MIT"),
        (
            "python",
            "#!/usr/bin/env python3\n# SPDX-License-Identifier: Apache-2.0\nimport os\n",
            "Apache-2.0",
        ),
        ("html", "<!-- SPDX-License-Identifier: MIT -->\n<p>a</p>\n", "MIT"),
        ("css", "/* SPDX-License-Identifier: MIT*/\na { b: c }\n", "MIT"),
        ("python", "# SPDX-License-Identifier: MIT\n# SPDX-License-Identifier: ISC\nx = 1\n", "MIT AND ISC"),
        ("python", "# SPDX-License-Identifier: LicenseRef-Ours\nx = 1\n", "unknown"),
        ("python", 'TAG = "SPDX-License-Identifier: MIT"\n', ""),
        ("python", "x = 1\n", ""),
    ],
)
def test_a_file_names_its_own_licence(language: str, text: str, own: str) -> None:
    assert spdx_header(text, language) == own


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I) There are no restrictions on distributing unmodified\n   copies of Vim except that ...", "Vim"),
        ("Choose one of three:\n1. the Redis Source\n   Available License 2.0 (RSALv2)\n2. SSPL", "unknown"),
    ],
)
def test_texts_that_the_templates_do_not_know(text: str, expected: str) -> None:
    found = evidence_of("r", "LICENSE", text.encode())
    assert found is not None
    assert found.expression == expected

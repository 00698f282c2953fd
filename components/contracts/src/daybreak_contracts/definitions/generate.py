"""Every committed file that is computed from the models: CRDs, the chart's copy, editor schemas, reference page.

Pure: returns paths and contents; ``make generate`` writes them and CI compares them.
"""

from __future__ import annotations

from pathlib import Path

from daybreak_contracts.definitions import crd, json_schema, reference

CRD_FOLDERS = (Path("manifests/crds"), Path("charts/daybreak/crds"))
SCHEMA_FOLDER = Path("manifests/schemas")
REFERENCE_PAGE = Path("docs/reference.md")


def generated_files(root: Path) -> dict[Path, str]:
    """Return the content of each generated file by its path, relative to the repository's root.

    Nothing below ``root`` is read: the same models give the same files anywhere.
    """
    del root  # the signature is the generators' common one
    files = {REFERENCE_PAGE: reference.reference_page()}
    for kind in crd.KINDS:
        text = crd.crd_yaml(kind)
        files |= {folder / kind.file_name: text for folder in CRD_FOLDERS}
        files[SCHEMA_FOLDER / f"{kind.name.lower()}.json"] = json_schema.editor_schema_json(kind.model)
    return files

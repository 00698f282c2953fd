"""detect-secrets with its default plug-ins and filters: seconds of CPU for a corpus, finds in planted files.

Arguments: a JSON file {"corpus": [text], "planted": [text]}. Prints {"seconds", "found": [[value]]}.
"""

import json
import sys
import time
from pathlib import Path

from detect_secrets.core.scan import scan_line
from detect_secrets.settings import default_settings


def found_by(text: str) -> list[str]:
    return [
        secret.secret_value for line in text.splitlines() for secret in scan_line(line) if secret.secret_value
    ]


given = json.loads(Path(sys.argv[1]).read_text())
with default_settings():
    began = time.process_time()
    for text in given["corpus"]:
        found_by(text)
    seconds = time.process_time() - began
    found = [found_by(text) for text in given["planted"]]
print(json.dumps({"seconds": seconds, "found": found}))

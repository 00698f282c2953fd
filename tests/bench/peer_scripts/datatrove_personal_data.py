"""datatrove's PII formatter: seconds of CPU for a corpus, and what it finds in planted files.

Arguments: a JSON file {"corpus": [text], "planted": [text]}. Prints {"seconds", "found": [[value]]}.
"""

import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.formatters.pii import PIIFormatter


def found_by(formatter: PIIFormatter, text: str) -> list[str]:
    values = []
    for replacer in (formatter.emails_replacer, formatter.ip_replacer):
        hits = [match.group(0) for match in replacer.regex.finditer(text)]
        values += [hit for hit in hits if not replacer.validator or replacer.validator(hit)]
    return values


given = json.loads(Path(sys.argv[1]).read_text())
formatter = PIIFormatter()
documents = [Document(text=text, id="") for text in given["corpus"]]
began = time.process_time()
for document in documents:
    formatter.format(document.text)
seconds = time.process_time() - began
print(json.dumps({"seconds": seconds, "found": [found_by(formatter, text) for text in given["planted"]]}))

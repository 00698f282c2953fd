"""datatrove's filters for code-like text: seconds of CPU for a corpus.

Argument: a JSON file {"corpus": [text]}. Prints {"seconds", "kept"}. C4's and Gopher's rules together are about the
measures that StarCoder2 takes (lines, letters, repetition); terminal punctuation is not asked of code.
"""

import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter

corpus = json.loads(Path(sys.argv[1]).read_text())["corpus"]
filters = [C4QualityFilter(filter_no_terminal_punct=False), GopherQualityFilter()]
filters[1].filter(Document(text="warm up", id=""))
began = time.process_time()
kept = 0
for text in corpus:
    document = Document(text=text, id="")
    results = [each.filter(document) for each in filters]
    kept += all(result is True for result in results)
print(json.dumps({"seconds": time.process_time() - began, "kept": kept}))

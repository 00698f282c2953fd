"""datasketch: MinHash of 256 permutations over word 5-grams and its LSH at 0.7, on one core.

Arguments: a folder with JSONL files. Prints {"seconds", "kept"}.
"""

import json
import re
import sys
import time
from pathlib import Path

from datasketch import MinHash, MinHashLSH

texts = [
    json.loads(line)["text"] for path in sorted(Path(sys.argv[1]).glob("*.jsonl")) for line in path.open()
]
word = re.compile(r"[A-Za-z_0-9]+")
began = time.process_time()
index = MinHashLSH(threshold=0.7, num_perm=256)
kept = 0
for number, text in enumerate(texts):
    words = word.findall(text)
    grams = {" ".join(words[i : i + 5]).encode() for i in range(len(words) - 4)}
    if len(words) < 10:
        kept += 1
        continue
    sketch = MinHash(num_perm=256)
    sketch.update_batch(list(grams))
    if not index.query(sketch):
        kept += 1
        index.insert(str(number), sketch)
print(json.dumps({"seconds": time.process_time() - began, "kept": kept}))

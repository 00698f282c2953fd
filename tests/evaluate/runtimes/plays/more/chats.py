"""What chat models answer in languages other than Python: forms around any answer, and answers with helpers."""

from __future__ import annotations

from daybreak_evaluate.task import Task

TAGS = {"shell": "bash", "csharp": "c#", "cpp": "c++", "javascript": "js", "go": "golang"}
WHOLE, BODY = "{whole}", "{body}"
CHATS = {
    "a fence": "```{tag}\n{whole}```",
    "a fence without a tag": "Here you go:\n```\n{whole}```\nLet me know if it helps.",
    "words on both sides": "Sure! Here is the code:\n\n```{tag}\n{whole}\n```\n\nThis function walks over the list once.",
    "a fence that stays open": "```{tag}\n{whole}",
    "thoughts, with a draft in them": "<think>\nFirst try:\n```{tag}\nno()\n```\n</think>\n\n```{tag}\n{whole}```",
    "an example behind": "```{tag}\n{whole}```\n\nExample usage:\n\n```{tag}\nprint(1)\n```",
    "ChatML around": "<|im_start|>assistant\n```{tag}\n{whole}```<|im_end|>",
    "tags in brackets": "<code>\n{whole}</code>",
    "CRLF": "```{tag}\r\n{whole}```",
    "only the body in a fence": "```{tag}\n{body}```",
    "the body, then a lone fence and words": "{body}```\n\n### Explanation\nIt walks over the list once.",
    "the body, then an end mark": "{body}<|endoftext|>",
    "the body, then the next turn": "{body}<|im_end|>\n<|im_start|>user\nThanks",
    "the prompt again without a fence": "{whole}",
    "words, then the prompt again": "The idea is to walk over the list once.\n\n{whole}",
}
JAVASCRIPT = Task(
    "chat/js",
    "javascript",
    prompt="// Return the numbers above the limit.\nconst above = (numbers, limit) => {\n",
    test="test()",
)
GO = Task(
    "chat/go",
    "go",
    prompt="// Above returns the numbers above the limit.\nfunc Above(numbers []int, limit int) []int {\n",
    test="func TestAbove(t *testing.T) {}",
)
JAVA = Task(
    "chat/java",
    "java",
    prompt="import java.util.*;\n\nclass Solution {\n    public int twice(int x) {\n",
    test="public class Main {}",
)
CPP = Task(
    "chat/cpp",
    "cpp",
    prompt="#include <vector>\nusing namespace std;\nint twice(int x) {\n",
    test="int main() { assert(twice(2) == 4); }",
)
HELPED = {
    "javascript: an arrow again, with a helper before": (
        JAVASCRIPT,
        "```js\nconst fits = (a, b) => a > b;\n\nconst above = (numbers, limit) => {\n  return numbers.filter((e) => fits(e, limit))\n}\n```",
        "  return numbers.filter((e) => fits(e, limit))\n}\nconst fits = (a, b) => a > b;\n",
    ),
    "javascript: as a function": (
        JAVASCRIPT,
        "```javascript\nfunction above(numbers, limit) {\n  return numbers;\n}\n\nmodule.exports = above;\n```",
        "  return numbers;\n}\n\nmodule.exports = above;\n",
    ),
    "go: a whole file": (
        GO,
        '```go\npackage main\n\nimport "sort"\n\nfunc Above(numbers []int, limit int) []int {\n\tsort.Ints(numbers)\n\treturn numbers\n}\n```',
        '\tsort.Ints(numbers)\n\treturn numbers\n}\nimport "sort"\n',
    ),
    "java: a whole class with a helper": (
        JAVA,
        (
            "```java\nimport java.util.*;\n\npublic class Solution {\n    private int half(int x) {\n        return x / 2;\n    }\n\n"
            "    public int twice(int x) {\n        return half(x) * 4;\n    }\n}\n```"
        ),
        "        return half(x) * 4;\n    }\n    private int half(int x) {\n        return x / 2;\n    }\n\n}\n",
    ),
    "c++: a helper before and a main behind": (
        CPP,
        (
            "```cpp\n#include <vector>\n#include <numeric>\nint half(int x) {\n    return x / 2;\n}\n\nint twice(int x) {\n    return half(x) * 4;\n}\n\n"
            "int main() {\n    return twice(1) - 2;\n}\n```"
        ),
        "    int half(int x);\n    return half(x) * 4;\n}\n#include <numeric>\nint half(int x) {\n    return x / 2;\n}\n#include <bits/stdc++.h>\n",
    ),
}
CORRECTED = "```js\nconst above = (numbers, limit) => {\n  return 1\n}\n```"

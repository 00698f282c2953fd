"""Ask a gateway through litellm: BASE_URL KEY LIMITED_KEY."""

import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it is looked up on the net
import litellm

litellm.suppress_debug_info = True
litellm.telemetry = False
url, key, limited_key = sys.argv[1:]
PROMPT, MESSAGES = (
    "def add(a, b):",
    [{"role": "user", "content": [{"type": "text", "text": "add two numbers"}]}],
)
TEXT = {"model": "text-completion-openai/daybreak", "api_base": url, "max_retries": 0}
CHAT = {"model": "openai/daybreak", "api_base": url, "api_key": key, "max_retries": 0}


def status(ask):
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - each of its errors has one
        return getattr(error, "status_code", str(error))
    return 200


def complete(prompt, use=key, **more):
    return litellm.text_completion(prompt=prompt, api_key=use, **TEXT, **more)


def limited():
    for _ in range(3):
        complete("x", limited_key, max_tokens=1)


whole = complete(PROMPT, max_tokens=8)
stopped = complete(PROMPT, max_tokens=8, stop=["three"])
several = complete([PROMPT, "class A:"], max_tokens=3)
chat = litellm.completion(messages=MESSAGES, max_tokens=5, **CHAT)
talk = litellm.completion(messages=MESSAGES, max_tokens=5, stream=True, **CHAT)
print(
    json.dumps(
        {
            "whole": whole.choices[0].text,
            "tokens": whole.usage.completion_tokens,
            "streamed": "".join(
                piece.choices[0].text or "" for piece in complete(PROMPT, max_tokens=8, stream=True)
            ),
            "stopped": [stopped.choices[0].text, stopped.choices[0].finish_reason],
            "several": [choice.text for choice in several.choices],
            "chat": chat.choices[0].message.content,
            "chat streamed": "".join(event.choices[0].delta.content or "" for event in talk),
            "no key": status(lambda: complete(PROMPT, "wrong", max_tokens=1)),
            "not served": status(lambda: litellm.embedding(input=["x"], **CHAT)),
            "limited": status(limited),
        }
    )
)

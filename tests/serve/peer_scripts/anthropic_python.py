"""Ask a gateway through the official `anthropic` package: BASE_URL KEY LIMITED_KEY."""

import json
import sys

import anthropic

url, key, limited_key = sys.argv[1:]
ASKED = {"model": "daybreak", "messages": [{"role": "user", "content": "add two numbers"}]}


def client_of(api_key):
    return anthropic.Anthropic(base_url=url.removesuffix("/v1"), api_key=api_key, max_retries=0)


def status(ask):
    try:
        ask()
    except anthropic.APIStatusError as error:
        return error.status_code
    return 200


def limited():
    other = client_of(limited_key)
    for _ in range(3):
        other.messages.create(**ASKED, max_tokens=1)


client = client_of(key)
with client.messages.stream(**ASKED, max_tokens=5) as events:
    told = events.get_final_message()
assert told.stop_reason == "max_tokens"
print(
    json.dumps(
        {
            "message": client.messages.create(**ASKED, max_tokens=5).content[0].text,
            "message streamed": told.content[0].text,
            "counted": client.messages.count_tokens(**ASKED).input_tokens,
            "models": [model.display_name for model in client.models.list()],
            "no key": status(client_of("wrong").models.list),
            "not served": status(client.messages.batches.list),
            "limited": status(limited),
        }
    )
)

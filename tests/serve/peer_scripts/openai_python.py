"""Ask a gateway through the official `openai` package: BASE_URL KEY LIMITED_KEY."""

import json
import sys

import openai

url, key, limited_key = sys.argv[1:]
client = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
PROMPT, MESSAGES = (
    "def add(a, b):",
    [{"role": "user", "content": [{"type": "text", "text": "add two numbers"}]}],
)


def status(ask):
    try:
        ask()
    except openai.APIStatusError as error:
        return error.status_code
    return 200


def limited():
    other = openai.OpenAI(base_url=url, api_key=limited_key, max_retries=0)
    for _ in range(3):
        other.completions.create(model="daybreak", prompt="x", max_tokens=1)


whole = client.completions.create(model="daybreak", prompt=PROMPT, max_tokens=8)
stopped = client.completions.create(model="daybreak", prompt=PROMPT, max_tokens=8, stop=["three"])
several = client.completions.create(model="daybreak", prompt=[PROMPT, "class A:"], max_tokens=3)
filled = client.completions.create(model="daybreak", prompt=PROMPT, suffix="\nadd(1, 2)", max_tokens=3)
chat = client.chat.completions.create(model="daybreak", messages=MESSAGES, max_completion_tokens=5)
pieces = client.completions.create(model="daybreak", prompt=PROMPT, max_tokens=8, stream=True)
with client.chat.completions.create(
    model="daybreak",
    messages=MESSAGES,
    max_completion_tokens=5,
    stream=True,
    stream_options={"include_usage": True},
) as events:
    talk = list(events)
ASKED = {"model": "daybreak", "input": "add two numbers"}
response = client.responses.create(**ASKED, max_output_tokens=5)
with client.responses.stream(**ASKED, max_output_tokens=5) as events:
    told = [event.delta for event in events if event.type == "response.output_text.delta"]
print(
    json.dumps(
        {
            "whole": whole.choices[0].text,
            "tokens": whole.usage.completion_tokens,
            "streamed": "".join(piece.choices[0].text for piece in pieces),
            "stopped": [stopped.choices[0].text, stopped.choices[0].finish_reason],
            "several": [choice.text for choice in several.choices],
            "filled": filled.choices[0].text,
            "chat": chat.choices[0].message.content,
            "chat streamed": "".join(event.choices[0].delta.content or "" for event in talk if event.choices),
            "chat usage": talk[-1].usage.completion_tokens,
            "response": response.output_text,
            "response streamed": "".join(told),
            "counted": client.responses.input_tokens.count(**ASKED).input_tokens,
            "models": [model.id for model in client.models.list()],
            "no key": status(openai.OpenAI(base_url=url, api_key="wrong", max_retries=0).models.list),
            "no model": status(lambda: client.models.retrieve("gpt-4")),
            "not served": status(lambda: client.embeddings.create(model="daybreak", input="x")),
            "limited": status(limited),
        }
    )
)

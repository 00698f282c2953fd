"""Ask a gateway through LangChain's classes for OpenAI: BASE_URL KEY LIMITED_KEY."""

import json
import sys

import openai
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

url, key, limited_key = sys.argv[1:]
PROMPT, MESSAGES = "def add(a, b):", [("user", [{"type": "text", "text": "add two numbers"}])]


def model(use=key, **more):
    return OpenAI(model="daybreak", base_url=url, api_key=use, max_retries=0, temperature=0, **more)


def status(ask):
    try:
        ask()
    except openai.APIStatusError as error:
        return error.status_code
    return 200


def limited():
    for _ in range(3):
        model(limited_key, max_tokens=1).invoke("x")


chat = ChatOpenAI(model="daybreak", base_url=url, api_key=key, max_retries=0, max_tokens=5)
talk = list(chat.stream(MESSAGES, stream_usage=True))
result = model(max_tokens=8).generate([PROMPT])
stopped = model(max_tokens=8).generate([PROMPT], stop=["three"]).generations[0][0]
embeddings = OpenAIEmbeddings(
    model="daybreak", base_url=url, api_key=key, max_retries=0, check_embedding_ctx_length=False
)
print(
    json.dumps(
        {
            "whole": result.generations[0][0].text,
            "tokens": result.llm_output["token_usage"]["completion_tokens"],
            "streamed": "".join(model(max_tokens=8).stream(PROMPT)),
            "stopped": [stopped.text, stopped.generation_info["finish_reason"]],
            "several": model(max_tokens=3).batch([PROMPT, "class A:"]),
            "chat": chat.invoke(MESSAGES).text,
            "chat streamed": "".join(piece.text for piece in talk),
            "chat usage": sum(
                piece.usage_metadata["output_tokens"] for piece in talk if piece.usage_metadata
            ),
            "no key": status(lambda: model("wrong").invoke(PROMPT)),
            "not served": status(lambda: embeddings.embed_query("x")),
            "limited": status(limited),
        }
    )
)

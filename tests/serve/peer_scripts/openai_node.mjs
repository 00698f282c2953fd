// Ask a gateway through the official `openai` package of npm: BASE_URL KEY LIMITED_KEY.
import OpenAI from "openai";

const [baseURL, apiKey, limitedKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const model = "daybreak";
const prompt = "def add(a, b):";
const messages = [{ role: "user", content: [{ type: "text", text: "add two numbers" }] }];

const status = async (ask) => {
  try {
    await ask();
  } catch (error) {
    return error.status;
  }
  return 200;
};
const limited = async () => {
  const other = new OpenAI({ baseURL, apiKey: limitedKey, maxRetries: 0 });
  for (let n = 0; n < 3; n++) await other.completions.create({ model, prompt: "x", max_tokens: 1 });
};

const whole = await client.completions.create({ model, prompt, max_tokens: 8 });
const stopped = await client.completions.create({ model, prompt, max_tokens: 8, stop: ["three"] });
const several = await client.completions.create({ model, prompt: [prompt, "class A:"], max_tokens: 3 });
const filled = await client.completions.create({ model, prompt, suffix: "\nadd(1, 2)", max_tokens: 3 });
const chat = await client.chat.completions.create({ model, messages, max_completion_tokens: 5 });
let streamed = "";
for await (const piece of await client.completions.create({ model, prompt, max_tokens: 8, stream: true }))
  streamed += piece.choices[0].text;
let talk = "";
let used = null;
const asked = { model, messages, max_completion_tokens: 5, stream: true, stream_options: { include_usage: true } };
for await (const event of await client.chat.completions.create(asked)) {
  talk += event.choices[0]?.delta?.content ?? "";
  used = event.usage ?? used;
}
const input = { model, input: "add two numbers" };
const response = await client.responses.create({ ...input, max_output_tokens: 5 });
let told = "";
for await (const event of client.responses.stream({ ...input, max_output_tokens: 5 }))
  if (event.type === "response.output_text.delta") told += event.delta;
const models = [];
for await (const one of client.models.list()) models.push(one.id);

console.log(
  JSON.stringify({
    whole: whole.choices[0].text,
    tokens: whole.usage.completion_tokens,
    streamed,
    stopped: [stopped.choices[0].text, stopped.choices[0].finish_reason],
    several: several.choices.map((choice) => choice.text),
    filled: filled.choices[0].text,
    chat: chat.choices[0].message.content,
    "chat streamed": talk,
    response: response.output_text,
    "response streamed": told,
    counted: (await client.responses.inputTokens.count(input)).input_tokens,
    "chat usage": used.completion_tokens,
    models,
    "no key": await status(() => new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 }).models.list()),
    "no model": await status(() => client.models.retrieve("gpt-4")),
    "not served": await status(() => client.embeddings.create({ model, input: "x" })),
    limited: await status(limited),
  }),
);

// Ask a gateway through the official `@anthropic-ai/sdk` package of npm: BASE_URL KEY LIMITED_KEY.
import Anthropic from "@anthropic-ai/sdk";

const [url, key, limitedKey] = process.argv.slice(2);
const clientOf = (apiKey) => new Anthropic({ baseURL: url.replace(/\/v1$/, ""), apiKey, maxRetries: 0 });
const asked = { model: "daybreak", messages: [{ role: "user", content: "add two numbers" }] };

const status = async (ask) => {
  try {
    await ask();
  } catch (error) {
    return error.status;
  }
  return 200;
};
const limited = async () => {
  for (let n = 0; n < 3; n++) await clientOf(limitedKey).messages.create({ ...asked, max_tokens: 1 });
};

const client = clientOf(key);
const models = [];
for await (const one of client.models.list()) models.push(one.display_name);

console.log(
  JSON.stringify({
    message: (await client.messages.create({ ...asked, max_tokens: 5 })).content[0].text,
    "message streamed": (await client.messages.stream({ ...asked, max_tokens: 5 }).finalMessage()).content[0].text,
    counted: (await client.messages.countTokens(asked)).input_tokens,
    models,
    "no key": await status(() => clientOf("wrong").models.list()),
    "not served": await status(() => client.messages.batches.list()),
    limited: await status(limited),
  }),
);

// Ask a gateway through Vercel's `ai` with `@ai-sdk/openai-compatible`, `openai` and `anthropic`: BASE_URL KEY LIMITED_KEY.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateText, streamText } from "ai";

const [baseURL, apiKey, limitedKey] = process.argv.slice(2);
globalThis.AI_SDK_LOG_WARNINGS = false;
const provider = (key) => createOpenAICompatible({ name: "daybreak", baseURL, apiKey: key, includeUsage: true });
const daybreak = provider(apiKey);
const prompt = "def add(a, b):";
const few = { maxRetries: 0, temperature: 0 };

const status = async (ask) => {
  try {
    await ask();
  } catch (error) {
    return (error.lastError ?? error).statusCode ?? String(error);
  }
  return 200;
};
const completion = (key, more) =>
  generateText({ model: provider(key).completionModel("daybreak"), prompt, maxOutputTokens: 8, ...few, ...more });
const limited = async () => {
  for (let n = 0; n < 3; n++) await completion(limitedKey, { maxOutputTokens: 1 });
};

const whole = await completion(apiKey, {});
const stopped = await completion(apiKey, { stopSequences: ["three"] });
const pieces = streamText({ model: daybreak.completionModel("daybreak"), prompt, maxOutputTokens: 8, ...few });
let streamed = "";
for await (const piece of pieces.textStream) streamed += piece;
const asked = { messages: [{ role: "user", content: [{ type: "text", text: "add two numbers" }] }], maxOutputTokens: 5 };
const chat = await generateText({ model: daybreak.chatModel("daybreak"), ...asked, ...few });
const talk = streamText({ model: daybreak.chatModel("daybreak"), ...asked, ...few });
let said = "";
for await (const piece of talk.textStream) said += piece;
const others = {};
for (const [name, make] of Object.entries({ response: createOpenAI, message: createAnthropic })) {
  const model = make({ baseURL, apiKey })("daybreak");
  others[name] = (await generateText({ model, ...asked, ...few })).text;
  others[`${name} streamed`] = "";
  for await (const piece of streamText({ model, ...asked, ...few }).textStream) others[`${name} streamed`] += piece;
}

console.log(
  JSON.stringify({
    // the package writes "user:" before a prompt of its completion models: texts differ from a bare prompt's
    whole: whole.text,
    tokens: whole.usage.outputTokens,
    streamed,
    stopped: [stopped.text, stopped.finishReason],
    ...others,
    chat: chat.text,
    "chat streamed": said,
    "chat usage": (await talk.usage).outputTokens,
    "no key": await status(() => completion("wrong", {})),
    "not served": await status(() => embed({ model: daybreak.embeddingModel("daybreak"), value: "x", maxRetries: 0 })),
    limited: await status(limited),
  }),
);

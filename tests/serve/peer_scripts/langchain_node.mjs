// Ask a gateway through LangChain's classes for OpenAI in JavaScript: BASE_URL KEY LIMITED_KEY.
import { ChatOpenAI, OpenAI, OpenAIEmbeddings } from "@langchain/openai";

const [baseURL, apiKey, limitedKey] = process.argv.slice(2);
const prompt = "def add(a, b):";
const at = (key) => ({ model: "daybreak", apiKey: key, configuration: { baseURL }, maxRetries: 0, temperature: 0 });
const model = (more, key = apiKey) => new OpenAI({ ...at(key), ...more });
const messages = [{ role: "user", content: [{ type: "text", text: "add two numbers" }] }];

const status = async (ask) => {
  try {
    await ask();
  } catch (error) {
    return error.status ?? String(error);
  }
  return 200;
};
const limited = async () => {
  for (let n = 0; n < 3; n++) await model({ maxTokens: 1 }, limitedKey).invoke("x");
};

const result = await model({ maxTokens: 8 }).generate([prompt]);
const stopped = (await model({ maxTokens: 8 }).generate([prompt], { stop: ["three"] })).generations[0][0];
let streamed = "";
for await (const piece of await model({ maxTokens: 8 }).stream(prompt)) streamed += piece;
const chat = new ChatOpenAI({ ...at(apiKey), maxTokens: 5 });
let talk = "";
for await (const piece of await chat.stream(messages)) talk += piece.content;
const embeddings = new OpenAIEmbeddings(at(apiKey));

console.log(
  JSON.stringify({
    whole: result.generations[0][0].text,
    tokens: result.llmOutput.tokenUsage.completionTokens,
    streamed,
    stopped: [stopped.text, stopped.generationInfo.finishReason],
    several: await model({ maxTokens: 3 }).batch([prompt, "class A:"]),
    chat: (await chat.invoke(messages)).content,
    "chat streamed": talk,
    "no key": await status(() => model({}, "wrong").invoke(prompt)),
    "not served": await status(() => embeddings.embedQuery("x")),
    limited: await status(limited),
  }),
);

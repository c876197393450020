import { createOpenAI } from '@ai-sdk/openai';
import { generateText, streamText } from 'ai';

const openai = createOpenAI({ baseURL: 'http://localhost:8080/v1', apiKey: 'sl-...' });

const { text } = await generateText({
  model: openai('auto'),
  prompt: 'Write a vegetarian lasagna recipe for 4 people.',
});
console.log(text);

const { textStream } = streamText({ model: openai('auto'), prompt: 'Invent a new holiday.' });
for await (const part of textStream) {
  process.stdout.write(part);
}

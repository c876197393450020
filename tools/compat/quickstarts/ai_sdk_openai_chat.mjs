import { createOpenAI } from '@ai-sdk/openai';
import { generateText } from 'ai';

const openai = createOpenAI({ baseURL: 'http://localhost:8080/v1', apiKey: 'sl-...' });

const { text } = await generateText({
  model: openai.chat('auto'),
  prompt: 'Write a vegetarian lasagna recipe for 4 people.',
});
console.log(text);

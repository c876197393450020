import { createOpenAI } from '@ai-sdk/openai';
import { embed } from 'ai';

const openai = createOpenAI({ baseURL: 'http://localhost:8080/v1', apiKey: 'sl-...' });

const { embedding } = await embed({
  model: openai.embedding('text-embedding-3-small'),
  value: 'sunny day at the beach',
});
console.log(embedding.length, 'dimensions');

// Writes the pages of docs/ that are drawn from the code: `npm run docs`.
import { writeFileSync } from 'node:fs';
import { configurationPage } from '../../src/config/describe.ts';

writeFileSync(new URL('../../docs/configuration.md', import.meta.url), configurationPage());

// Writes what of the Helm chart is drawn from elsewhere: `node test/support/write-chart-docs.ts`.
import { writeFileSync } from 'node:fs';
import { chartPages } from './chart-docs.ts';

for (const [name, text] of Object.entries(chartPages())) {
  writeFileSync(new URL(`../../charts/headgate/${name}`, import.meta.url), text);
}

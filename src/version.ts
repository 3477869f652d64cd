// Which version of the router this is.

import { readFileSync } from 'node:fs';

/** As package.json has it. */
export function version(): string {
  const { version: text }: { version: string } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  );
  return text;
}

// Writes each dashboard into the directory that is named.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { pipeline } from './pipeline';
import { smartMeters } from './smart_meters';

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error('into which directory?');
for (const dashboard of [smartMeters, pipeline]) {
  const name = (dashboard.uid ?? '').replace(/^hurtig-/, '');
  writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(dashboard, null, 2)}\n`);
}

// Half a second of work that writes one line to RENDER_LOG when it starts.

import { appendFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

let renders = 0;

export async function render(path) {
  const stamp = `render=${process.pid}.${++renders}`;
  appendFileSync(process.env.RENDER_LOG, `${Date.now()} ${path}\n`);
  await setTimeout(500);
  return (
    <main>
      <h1>{path}</h1>
      <p>{stamp}</p>
    </main>
  );
}

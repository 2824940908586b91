// How fast a body of 1 GiB goes through plugins that change bodies, and how much memory that takes. `node bench/micro/plugin-bodies.mjs` after `npm run build`;
// a number behind it is the size in MiB.
const dist = '../../dist/plugins';
const { codingsOf } = await import(`${dist}/compression/codings.js`);
const { ZlibBody } = await import(`${dist}/compression/zlib-body.js`);
const { readFilter } = await import(`${dist}/sub-filter/filter.js`);
const { FilteredBody } = await import(`${dist}/sub-filter/filtered-body.js`);

const wanted = Number(process.argv[2] ?? 1024);
const CHUNK_BYTES = 64 * 1024;

/** Lines of JSON, no two alike. */
function chunk() {
  let text = '';
  while (text.length < CHUNK_BYTES)
    text += `{"id":${Math.random()},"link":"http://internal/${Math.random().toString(36)}","text":"The quick brown fox"}\n`;
  return Buffer.from(text.slice(0, CHUNK_BYTES));
}

/** @param {string} name */
function coding(name) {
  return codingsOf().find((one) => one.name === name);
}

const filters = ["sub_filter 'http:' 'https:' g", `subs_filter '"id":([0-9.]+)' '"id":"$1"' g`].map(readFilter);
const bodies = new Map([
  ['gzip 1', () => new ZlibBody(coding('gzip').compress(1), { flushes: false, flush: undefined, maxBytes: Infinity })],
  ['brotli 4', () => new ZlibBody(coding('br').compress(4), { flushes: false, flush: undefined, maxBytes: Infinity })],
  ['sub_filter, a text and a pattern', () => new FilteredBody(filters)],
]);

/** A reader that takes everything at once. @param {any} body @param {Buffer[]} chunks @param {number} mebibytes */
async function pass(body, chunks, mebibytes) {
  let wake = null;
  let ended = null;
  const end = new Promise((resolve) => (ended = resolve));
  let mostRss = 0;
  const out = {
    full: false,
    bytes: 0,
    write: (piece) => ((out.bytes += piece.length), true),
    ready: () => wake?.(),
    end: () => ended(),
    abort: (failure) => {
      throw new Error(failure.detail);
    },
  };
  const before = process.memoryUsage().rss;
  const startMs = performance.now();
  for (let i = 0; i < mebibytes * 16; i++) {
    const ready = new Promise((resolve) => (wake = resolve));
    if (body.write(chunks[i % chunks.length], out) === false) await ready;
    else if (i % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (i % 256 === 0) mostRss = Math.max(mostRss, process.memoryUsage().rss);
  }
  body.end(out);
  await end;
  body.close?.();
  return { ms: performance.now() - startMs, bytes: out.bytes, grown: mostRss - before };
}

const chunks = Array.from({ length: 16 }, chunk);
for (const [name, make] of bodies) {
  // What the process takes once, whatever it does: the heap of its first megabytes, threads.
  await pass(make(), chunks, 32);
  const { ms, bytes, grown } = await pass(make(), chunks, wanted);
  const mib = (value) => (value / 1024 / 1024).toFixed(1);
  console.log(
    `${name}: ${wanted} MiB became ${mib(bytes)} MiB, ${((wanted * 1000) / ms).toFixed(0)} MiB/s, ${mib(grown)} MiB of memory more at most`,
  );
}

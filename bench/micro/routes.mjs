// What finding a location costs, by how many there are. `node bench/micro/routes.mjs` after `npm run build`.
// A loop flatters (everything is warm); the requests are taken in turn from a thousand, so that it is not always the same one that is found.
import { median, spread } from '../kit/numbers.mjs';

const dist = '../../dist';
const { Router } = await import(`${dist}/proxy/router.js`);
const { compileRule } = await import(`${dist}/proxy/rule.js`);
const { locationTable } = await import(`${dist}/proxy/location-section.js`);
const { imagine } = await import(`${dist}/proxy/imagined.js`);
const { shadowed } = await import(`${dist}/proxy/shadowed.js`);

/** @param {string} name @param {Record<string, unknown>} toml */
function ruleOf(name, toml) {
  const given = Object.entries(locationTable).map(([key, { kind, fallback }]) => [key, key in toml ? kind.fromToml(toml[key], '/') : fallback]);
  return compileRule({ ...Object.fromEntries(given), name });
}

/** Each makes location number i, and the request that it takes. @type {Record<string, (i: number) => [toml: Record<string, unknown>, host: string, path: string]>} */
const shapes = {
  'exact hosts': (i) => [{ host: `tenant-${i}.example.com`, path: '/api' }, `tenant-${i}.example.com`, '/api/users'],
  'wildcard hosts': (i) => [{ host: `*.tenant-${i}.example.com` }, `www.tenant-${i}.example.com`, '/'],
  'exact paths': (i) => [{ path: `=/v1/service-${i}/status` }, 'example.com', `/v1/service-${i}/status`],
  'beginnings of paths': (i) => [{ path: `/v1/service-${i}/` }, 'example.com', `/v1/service-${i}/users/42?page=2`],
  'hosts and beginnings': (i) => [
    { host: `tenant-${i % 100}.example.com`, path: `/service-${i}/` },
    `tenant-${i % 100}.example.com`,
    `/service-${i}/users/42`,
  ],
  'beginnings, one with a header': (i) => [{ path: `/v1/service-${i}/`, matchHeaders: ['x-plan:gold'] }, 'example.com', `/v1/service-${i}/x`],
};

/** CPU time of this process, ns: on a busy machine wall time measures the others. */
const cpuNs = () => process.cpuUsage().user * 1000;

const turns = 200_000;
const rounds = 5;
console.log(`${'CPU ns per request'.padEnd(34)}${[10, 1000, 10_000].map((n) => String(n).padStart(22)).join('')}`);
for (const [shape, make] of Object.entries(shapes)) {
  /** @type {string[]} */
  const cells = [];
  for (const count of [10, 1000, 10_000]) {
    const entries = Array.from({ length: count }, (_, i) => ({ rule: ruleOf(`n${i}`, make(i)[0]), value: i }));
    const begun = cpuNs();
    const router = new Router(entries);
    const builtMs = (cpuNs() - begun) / 1e6;
    const step = Math.max(1, Math.floor(count / 1000));
    const heads = Array.from({ length: Math.min(count, 1000) }, (_, i) => {
      const [, host, path] = make(i * step);
      return imagine({ method: 'GET', host, path, headers: ['Accept: */*', 'User-Agent: bench', 'X-Plan: gold'] });
    });
    /** @type {number[]} */
    const nanoseconds = [];
    for (let round = -1; round < rounds; round++) {
      const start = cpuNs();
      for (let i = 0; i < turns; i++) if (router.find(heads[i % heads.length]) === null) throw new Error(`${shape}: nothing found`);
      // Round -1 is the compiler's.
      if (round >= 0) nanoseconds.push((cpuNs() - start) / turns);
    }
    cells.push(`${spread(nanoseconds, 0)}${count === 10_000 ? `, built in ${builtMs.toFixed(0)} ms` : ''}`);
    if (count === 10_000 && shape === 'hosts and beginnings') {
      const from = cpuNs();
      shadowed(entries.map(({ rule }) => rule));
      cells.push(`shadows in ${((cpuNs() - from) / 1e6).toFixed(0)} ms`);
    }
  }
  console.log(`${shape.padEnd(34)}${cells.map((cell) => cell.padStart(22)).join('')}`);
}

const text = '/api/v2/users/alice/orders';
console.log('\nregular expressions, CPU ns per search in a path of 26 characters');
const { compilePattern } = await import(`${dist}/schema/pattern.js`);
for (const source of ['^/api/', '^/(api|rest)/', '^/api/v(\\d+)/users/([^/]+)/', '^/(?P<a>[^/]+)/(.*)$', '(.*)/(.*)x', '\\.(jpg|png)$']) {
  const pattern = compilePattern(source);
  /** @type {(what: () => unknown) => string} */
  const measure = (what) => {
    const values = Array.from({ length: rounds + 1 }, () => {
      const from = cpuNs();
      for (let i = 0; i < turns / 5; i++) what();
      return ((cpuNs() - from) / turns) * 5;
    });
    return median(values.slice(1)).toFixed(0).padStart(8);
  };
  console.log(`${source.padEnd(34)} test ${measure(() => pattern.test(text))}  find ${measure(() => pattern.find(text))}`);
}

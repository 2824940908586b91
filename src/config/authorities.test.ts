import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, expect, test } from 'vitest';
import { authorities } from './authorities.ts';

const FIXTURES = new URL('../../test/fixtures/', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'windlass-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a file of several authorities is believed, each of them', async () => {
  const path = join(folder, 'bundle.pem');
  writeFileSync(path, `# two of them\n${tls.rootCertificates[0]!}\n${readFileSync(join(FIXTURES, 'ca.pem'), 'utf8')}`);
  const server = tls.createServer({ cert: readFileSync(join(FIXTURES, 'one.pem')), key: readFileSync(join(FIXTURES, 'one.key')) });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', secureContext: authorities(path)! });
  await once(socket, 'secureConnect');
  expect(socket.authorized).toBe(true);
  socket.destroy();
  server.close();
});

test('without a file it is left to Node', () => {
  expect(authorities(null)).toBeUndefined();
});

test.each([
  ['nowhere.pem', null, 'does not exist; give the path of a PEM file'],
  ['empty.pem', '', 'holds no PEM certificate that can be read'],
  ['key.pem', readFileSync(join(FIXTURES, 'one.key'), 'utf8'), 'holds no PEM certificate that can be read'],
  ['junk.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'holds no PEM certificate that can be read'],
])('a file without authorities is one line: %s', (name, text, said) => {
  const path = join(folder, name);
  if (text !== null) writeFileSync(path, text);
  expect(() => authorities(path)).toThrow(`--ca-file "${path}" ${said}`);
});

import { expect, test } from 'vitest';
import { gatewayOfText } from '../gateway.ts';
import { piToml } from './pi.ts';
import type { PiFile } from '../pi-file.ts';

const FILE: PiFile = {
  heartbeatIntervalMs: 10_000,
  heartbeatTimeoutMs: 2_500,
  servers: [
    { name: 'tts@container1', host: 'server_container1', port: 50_051, priority: 0, load: 0.5 },
    { name: 'two\u001b[31m\n[servers.evil]', host: 'fd00::1', port: 50_051, priority: 1, load: 0 },
    { name: '10.0.0.1:50051', host: '10.0.0.1', port: 50_051, priority: 1, load: 1e-7 },
  ],
};
const address = { host: '::', port: 50_052 };

test('what is printed is read as a gateway that listens, balances and checks as the file says, without a warning', async () => {
  const text = piToml(FILE, { address, source: 'proxy.json' });
  const { settings, warnings } = await gatewayOfText(text, 'proxy.json');
  expect(warnings).toEqual([]);
  expect([...settings.servers.values()].map(({ addresses, locations }) => ({ addresses, locations }))).toEqual([
    { addresses: [address], locations: ['grpc'] },
  ]);
  const upstream = settings.upstreams.get('grpc')!;
  if (upstream.of !== 'addresses') throw new Error('it is of addresses');
  const { addrs, algo, alpn, healthCheck, connectionTimeout, updateFrequency } = upstream.settings;
  const plain = { weight: 1, backup: false, port: 50_051 };
  expect(addrs).toEqual([
    { ...plain, host: 'server_container1', priority: 0, load: 0.5 },
    { ...plain, host: 'fd00::1', priority: 1, load: 0 },
    { ...plain, host: '10.0.0.1', priority: 1, load: 1e-7 },
  ]);
  expect({ algo, alpn, connectionTimeout, updateFrequency }).toEqual({
    algo: { by: 'spare_capacity' },
    alpn: 'H2',
    connectionTimeout: 2_500,
    updateFrequency: 10_000,
  });
  expect(healthCheck).toMatchObject({ scheme: 'tcp', everyMs: 10_000, connectTimeoutMs: 2_500, failure: 1, success: 1, parallel: true });
  expect(settings.locations.get('grpc')!.settings.maxRetries).toBe(6);
});

test('names of servers stay as comments, and cannot be more', () => {
  const text = piToml(FILE, { address, source: 'a\nb.json' });
  expect(text).toContain('addr = "server_container1:50051", priority = 0, load = 0.5 }, # tts@container1\n');
  expect(text).toContain('{ addr = "10.0.0.1:50051", priority = 1, load = 1e-7 },\n');
  expect(text).not.toContain('\u001b');
  expect(text).not.toMatch(/^\[servers\.evil\]/m);
  expect(text.startsWith('# a?b.json, ')).toBe(true);
});

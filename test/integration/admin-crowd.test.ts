import { once } from 'node:events';
import net from 'node:net';
import { expect, test } from 'vitest';
import { adminLimits } from '../../src/admin/limits.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';
import { until } from '../kit/until.ts';

const tools = kit();

test(
  'strangers who hold all connections open, silent or in the middle of a head, keep neither probes nor operators out, and end no event stream [threat 76]',
  { timeout: 60_000 },
  async () => {
    const stateDir = tools.folder();
    const gateway = await startGatewayOf(tools, fileTo(9, { more: '' }), { stateDir });
    const operator = new Operator(gateway, stateDir);
    const ended = new AbortController();
    tools.later(() => ended.abort());
    const changes = await operator.changes(ended.signal);
    const { port } = gateway.adminAddress!;
    const crowd: net.Socket[] = [];
    tools.later(() => crowd.forEach((socket) => socket.destroy()));
    for (let i = 0; i < adminLimits.connections + 20; i++) {
      const socket = net.connect(port, '127.0.0.1');
      socket.on('error', () => {});
      crowd.push(socket);
      await once(socket, 'connect');
      if (i % 2 === 0) socket.write('GET /api/v1/info HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ');
    }
    for (let i = 0; i < 3; i++) {
      expect((await fetch(`http://127.0.0.1:${port}/healthz`, { headers: { Connection: 'close' } })).status).toBe(200);
      expect((await operator.ask('GET', '/info')).status).toBe(200);
    }
    await operator.ask('POST', '/config/reload');
    await until('the change', () => changes.includes('config'));
  },
);

import { expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { framed, rawGrpc } from '../kit/grpc-raw.ts';
import { type H2Answerer, H2Origin } from '../kit/h2-origin.ts';
import { kit } from '../kit/kit.ts';

const tools = kit();

/** Some services tell the length of a message beforehand. `sent`: how much of it then comes. */
function measured(sent = 7): H2Answerer {
  return (stream) => {
    stream.respond({ 'content-type': 'application/grpc', 'content-length': 7 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-trail': 'kept' }));
    stream.end(framed('ok').subarray(0, sent));
  };
}

async function startH2(answer: H2Answerer): Promise<H2Origin> {
  const origin = await new H2Origin(answer).listen();
  tools.later(() => origin.close());
  return origin;
}

async function throughGateway(answer: H2Answerer): Promise<number> {
  const origin = await startH2(answer);
  return (await startGatewayOf(tools, fileTo(origin.port, { more: 'alpn = "H2"\n' }))).port();
}

async function throughAgent(answer: H2Answerer): Promise<number> {
  const origin = await startH2(answer);
  const hub = await tools.startHubWith();
  await tools.startAgentFor(hub, origin, { upstreams: [parseUpstreamUrl(`h2c://127.0.0.1:${origin.port}`)] });
  return hub.address.port;
}

test.each([
  ['a gateway', throughGateway],
  ['a hub and an agent', throughAgent],
])('the status behind a gRPC message with a Content-Length comes through %s', async (_, reach) => {
  const { head, body, trailers, reset } = await rawGrpc(tools, await reach(measured()))().answer;
  expect(head['content-length']).toBe('7');
  expect(body).toEqual(framed('ok'));
  expect(trailers).toMatchObject({ 'grpc-status': '0', 'x-trail': 'kept' });
  expect(reset).toBe(0);
});

test.each([
  ['a gateway', throughGateway],
  ['a hub and an agent', throughAgent],
])('[rule R2] a gRPC message that is shorter than its Content-Length never ends with a status that it is whole, through %s', async (_, reach) => {
  const { trailers, reset } = await rawGrpc(tools, await reach(measured(6)))().answer;
  expect(trailers?.['grpc-status']).not.toBe('0');
  expect([trailers === null, reset === 0]).not.toEqual([true, true]);
});

import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { healthAnswer, healthRequest, requestedService, servingStatus } from './grpc-message.ts';

test.each([
  ['', '0000000000'],
  ['a', '00000000030a0161'],
  ['my.Service', '000000000c0a0a6d792e53657276696365'],
  ['x'.repeat(300), `000000012f0aac02${'78'.repeat(300)}`],
])('a request for %j is the bytes that protobuf and gRPC want', (service, hex) => {
  expect(healthRequest(service).toString('hex')).toBe(hex);
});

test.each<[string, number | null, string]>([
  ['0000000000', 0, 'nothing is said, which is the first state'],
  ['00000000020801', 1, 'serving'],
  ['00000000020802', 2, 'not serving'],
  ['00000000020803', 3, 'service unknown'],
  ['00000000020863', 99, 'a state of a later version'],
  ['0000000006080212036162', null, 'a field that is cut off'],
  ['0000000007080212036162630801', null, 'a length that is not that of the message'],
  ['0000000009080212036162630801', 1, 'other fields are skipped, and the last one counts'],
  ['000000000d0801110102030405060708', null, 'eight bytes that are not all there'],
  ['000000000b0801110102030405060708', 1, 'eight bytes of something else'],
  ['000000000708011501020304', 1, 'four bytes of something else'],
  ['00000000020b01', null, 'a wire type of the past'],
  ['0000000001', null, 'a message that is not there'],
  ['000000000108', null, 'a field without its value'],
  ['000000000608ffffffff0f', null, 'a number that is too long'],
  ['01000000020801', null, 'a compressed message'],
  ['00000000', null, 'less than a prefix'],
  ['', null, 'nothing at all'],
])('%s is read as %s: %s', (hex, status) => {
  expect(servingStatus(Buffer.from(hex, 'hex'))).toBe(status);
});

test.each(['', 'a', 'my.Service', 'größe', 'x'.repeat(300)])('a request for %j is read as it was written', (service) => {
  expect(requestedService(healthRequest(service))).toBe(service);
});

test.each([
  ['00000000030a0261', 'a name that is cut off'],
  ['01000000030a0161', 'a compressed message'],
  ['0000000003', 'a message that is not there'],
  ['0000', 'less than a prefix'],
])('%s is no request: %s', (hex) => {
  expect(requestedService(Buffer.from(hex, 'hex'))).toBeNull();
});

test.each([0, 1, 2, 3])('the state %s is read as it was written', (status) => {
  expect(servingStatus(healthAnswer(status))).toBe(status);
});

test('no bytes whatever make it fail or read on for ever', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (message) => {
      const bytes = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
      const status = servingStatus(bytes);
      expect(status === null || (Number.isInteger(status) && status >= 0)).toBe(true);
      expect(requestedService(bytes) === null).toBe(status === null);
    }),
    { numRuns: 2000 },
  );
});

import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { Failure } from '../../http/failure.ts';
import { readGrpcWebType } from '../../http/grpc.ts';
import type { TransformOut } from '../../proxy/plugin.ts';
import { AnswerBody } from './answer-body.ts';
import { Base64Reader } from './base64.ts';
import { TextRequest } from './request-body.ts';

/** Where a body went. */
class Gathered implements TransformOut {
  readonly chunks: Buffer[] = [];
  ended = false;
  reason: Failure | Error | null = null;
  readonly full = false;

  write(chunk: Uint8Array): boolean {
    this.chunks.push(Buffer.from(chunk));
    return true;
  }

  end(): void {
    this.ended = true;
  }

  abort(reason: Failure | Error): void {
    this.reason = reason;
  }

  ready(): void {}

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }
}

const MESSAGE = Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]);
const trailers = (text: string): Buffer => Buffer.concat([Buffer.from([0x80, 0, 0, 0, text.length]), Buffer.from(text, 'latin1')]);

test('base64 is read wherever it is cut, with padding wherever its writer flushed', () => {
  const bytes = Buffer.from(Array.from({ length: 251 }, (_, i) => i));
  const pieces = [bytes.subarray(0, 1), bytes.subarray(1, 6), bytes.subarray(6, 9), bytes.subarray(9)];
  const text = pieces.map((piece) => piece.toString('base64')).join('');
  for (const size of [1, 2, 3, 4, 5, 7, 64, text.length]) {
    const reader = new Base64Reader();
    const out: Buffer[] = [];
    for (let at = 0; at < text.length; at += size) out.push(reader.read(Buffer.from(text.slice(at, at + size))));
    expect(Buffer.concat(out)).toEqual(bytes);
    expect(reader.isWhole).toBe(true);
  }
});

test.each(['AA*A', 'A===', 'AA=A', '====', 'AAA\n', 'AA-_'])('what is no base64 is refused: %j', (text) => {
  expect(() => new Base64Reader().read(Buffer.from(text))).toThrow('no base64');
  const out = new Gathered();
  new TextRequest().write(Buffer.from(text), out);
  expect(out.reason).toMatchObject({ code: 'bad_request' });
});

test('base64 that ends within a group is refused', () => {
  const out = new Gathered();
  const body = new TextRequest();
  body.write(Buffer.from('AAAAA'), out);
  body.end(out);
  expect([out.ended, out.reason]).toMatchObject([false, { code: 'bad_request' }]);
});

test('the trailers are the last frame, their names in lower case', () => {
  const out = new Gathered();
  const body = new AnswerBody(false, []);
  body.write(MESSAGE, out);
  body.end(out, ['Grpc-Status', '0', 'x-trail', 'a']);
  expect(Buffer.concat(out.chunks)).toEqual(Buffer.concat([MESSAGE, trailers('grpc-status: 0\r\nx-trail: a\r\n')]));
  expect(out.ended).toBe(true);
});

test('each piece of an answer in base64 can be read by itself', () => {
  const out = new Gathered();
  const body = new AnswerBody(true, []);
  body.write(MESSAGE, out);
  body.end(out, ['grpc-status', '0']);
  expect(out.chunks.map((chunk) => Buffer.from(chunk.toString('latin1'), 'base64'))).toEqual([MESSAGE, trailers('grpc-status: 0\r\n')]);
});

test('an answer without a status is UNKNOWN, never OK', () => {
  const out = new Gathered();
  new AnswerBody(false, []).end(out);
  expect(out.text).toContain('grpc-status: 2\r\n');
});

test.each([
  ['between messages', MESSAGE.length, true],
  ['before the first', 0, true],
  ['within a prefix', 3, false],
  ['within a message', 6, false],
])('an answer that breaks off %s', (_, bytes, isTold) => {
  // Cut anywhere: the frames are followed over the cuts.
  for (const size of [1, 2, 8]) {
    const out = new Gathered();
    const body = new AnswerBody(false, []);
    const sent = MESSAGE.subarray(0, bytes);
    for (let at = 0; at < sent.length; at += size) body.write(sent.subarray(at, at + size), out);
    expect(body.broken(new Failure('upstream_closed', 'gone'), out)).toBe(isTold);
    expect([out.ended, out.text.includes('grpc-status: 14\r\ngrpc-message: gone')]).toEqual([isTold, isTold]);
  }
});

test.each([
  ['application/grpc-web', { isText: false, suffix: '' }],
  ['application/grpc-web+proto', { isText: false, suffix: '+proto' }],
  ['Application/gRPC-Web-Text+proto; charset=x', { isText: true, suffix: '+proto; charset=x' }],
  ['application/grpc-web-texts', null],
  ['application/grpc', null],
  ['', null],
])('the type %j', (type, found) => {
  expect(readGrpcWebType(type)).toEqual(found);
});

import { expect, test } from 'vitest';
import { isText } from '../sub-filter/text-type.ts';
import { isCompressible, isDocument } from './compressible.ts';

test.each(['text/html; charset=utf-8', 'application/json', 'Application/Problem+JSON', 'image/svg+xml'])('%s is text', (type) => {
  expect([isCompressible(type), isDocument(type), isText(type)]).toEqual([true, true, true]);
});

test.each(['application/grpc', 'application/grpc+json', 'Application/gRPC-Web+json; charset=utf-8'])(
  '%s is messages with lengths, and no text',
  (type) => {
    expect([isCompressible(type), isDocument(type), isText(type)]).toEqual([false, false, false]);
  },
);

test('events are text that is not held back by compressing it', () => {
  expect([isCompressible('text/event-stream'), isText('text/event-stream')]).toEqual([false, true]);
});

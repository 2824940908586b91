import net from 'node:net';
import tls from 'node:tls';
import { fieldLine, ResponseHead } from '../../http/head.ts';
import { httpLimits } from '../../http/limits.ts';
import { INCOMPLETE, parseResponse } from '../../http/parse.ts';
import type { UpstreamUrl } from '../../schema/upstream-url.ts';
import { plainText } from './frames.ts';

export type Connected = { readonly socket: net.Socket } | { readonly problem: string };

/** What a proxy tells that it is, where it wants to know. */
const USER_AGENT = 'windlass';

/** Opens a way through a proxy (HTTP CONNECT). `done` is called once, later, unless the returned function has given it up before. The name is resolved by the proxy. */
export function connectThrough(
  proxy: UpstreamUrl,
  to: UpstreamUrl,
  trust: tls.SecureContext | undefined,
  done: (outcome: Connected) => void,
): () => void {
  const { host, port } = proxy;
  const socket =
    proxy.protocol === 'https'
      ? tls.connect({
          host,
          port,
          ...(net.isIP(host) === 0 ? { servername: host } : {}),
          minVersion: 'TLSv1.2',
          ...(trust === undefined ? {} : { secureContext: trust }),
        })
      : net.connect({ host, port, allowHalfOpen: true });
  let bytes: Buffer = Buffer.alloc(0);
  let over = false;
  const end = (outcome: Connected): void => {
    if (over) return;
    over = true;
    socket.removeListener('data', onData);
    socket.removeListener('end', onEnd);
    socket.removeListener('close', onEnd);
    if ('problem' in outcome) socket.destroy();
    else socket.removeListener('error', onError);
    done(outcome);
  };
  const fail = (problem: string): void => end({ problem: `${problem} (proxy ${proxy.shown})` });
  const onEnd = (): void => fail('the proxy closed the connection before it answered');
  const onError = (error: Error): void => fail(`the proxy cannot be reached: ${plainText(error.message, 200)}`);
  const onData = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk]);
    const head = new ResponseHead();
    const at = parseResponse(head, bytes, 0, bytes.length, httpLimits);
    if (at === INCOMPLETE) return;
    if (at < 0) fail(`the proxy does not speak HTTP: ${head.problemDetail}`);
    else if (head.status < 200 || head.status > 299) fail(refusal(head.status, to));
    // Whoever is behind the proxy speaks after us: such bytes are the proxy's own, and what follows them cannot be made sense of.
    else if (at < bytes.length) fail('the proxy sent bytes of its own behind its answer');
    else {
      socket.pause();
      end({ socket });
    }
  };
  socket.setNoDelay(true);
  socket.on('data', onData);
  socket.on('end', onEnd);
  socket.on('close', onEnd);
  // Stays when this has failed: an error may come behind the one that was told.
  socket.on('error', onError);
  const target = `${to.host.includes(':') ? `[${to.host}]` : to.host}:${to.port}`;
  const authorization = proxy.authorization === null ? '' : fieldLine('Proxy-Authorization', proxy.authorization);
  socket.write(`CONNECT ${target} HTTP/1.1\r\n${fieldLine('Host', target)}${fieldLine('User-Agent', USER_AGENT)}${authorization}\r\n`, 'latin1');
  return () => {
    over = true;
    socket.destroy();
  };
}

function refusal(status: number, to: UpstreamUrl): string {
  switch (status) {
    case 407:
      return 'the proxy wants a name and password (407): put them into its address, http://name:password@host:port';
    case 403:
    case 405:
      return `the proxy does not allow connections to ${to.host}:${to.port} (${status})`;
    default:
      return `the proxy answered ${status}`;
  }
}

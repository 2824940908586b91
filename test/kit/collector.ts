import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import type { Kit } from './kit.ts';
import { until } from './until.ts';

/** A span as it travels, its attributes by name. */
export interface SeenSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: number;
  readonly startNanos: bigint;
  readonly endNanos: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly error: string | null;
  /** Of its resource. */
  readonly service: string;
}

/** What it says to a sending: a status, with fields; `hang` says nothing. */
export type Said = number | readonly [status: number, fields: http.OutgoingHttpHeaders] | 'hang';

/** A collector of OTLP over HTTP that follows a script. */
export class Collector {
  readonly spans: SeenSpan[] = [];
  readonly requests: { readonly path: string; readonly headers: http.IncomingHttpHeaders; readonly body: string }[] = [];
  readonly server: http.Server;
  #script: Said[];

  /** `script`: what the first sendings are answered with; the others are taken. */
  constructor(script: readonly Said[] = []) {
    this.#script = [...script];
    this.server = http.createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        this.requests.push({ path: request.url!, headers: request.headers, body });
        const said = this.#script.shift() ?? 200;
        if (said === 'hang') return;
        const [status, fields] = typeof said === 'number' ? [said, {}] : said;
        if (status < 300) this.#read(body);
        response.writeHead(status, fields).end('{}');
      });
    });
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Waits for so many spans. */
  async seen(count: number): Promise<readonly SeenSpan[]> {
    await until(`${count} spans`, () => this.spans.length >= count);
    return this.spans;
  }

  named(name: string): SeenSpan {
    const found = this.spans.filter((span) => span.name === name);
    if (found.length !== 1) throw new Error(`${found.length} spans are called ${name}: ${this.spans.map((span) => span.name).join(', ')}`);
    return found[0]!;
  }

  #read(body: string): void {
    const { resourceSpans } = JSON.parse(body) as {
      resourceSpans: { resource: { attributes: Attribute[] }; scopeSpans: { spans: Record<string, unknown>[] }[] }[];
    };
    for (const { resource, scopeSpans } of resourceSpans) {
      const service = String(attributesOf(resource.attributes)['service.name']);
      for (const { spans } of scopeSpans) {
        for (const span of spans) {
          const status = span['status'] as { code?: number; message?: string };
          this.spans.push({
            traceId: span['traceId'] as string,
            spanId: span['spanId'] as string,
            parentSpanId: (span['parentSpanId'] as string | undefined) ?? '',
            traceState: (span['traceState'] as string | undefined) ?? '',
            name: span['name'] as string,
            kind: span['kind'] as number,
            startNanos: BigInt(span['startTimeUnixNano'] as string),
            endNanos: BigInt(span['endTimeUnixNano'] as string),
            attributes: attributesOf(span['attributes'] as Attribute[]),
            error: status.code === 2 ? (status.message ?? '') : null,
            service,
          });
        }
      }
    }
  }
}

export async function startCollector({ later }: Kit, script: readonly Said[] = []): Promise<Collector> {
  const collector = new Collector(script);
  collector.server.listen(0, '127.0.0.1');
  await once(collector.server, 'listening');
  later(() => {
    collector.server.closeAllConnections();
    collector.server.close();
  });
  return collector;
}

interface Attribute {
  readonly key: string;
  readonly value: {
    readonly stringValue?: string;
    readonly intValue?: string;
    readonly doubleValue?: number;
    readonly boolValue?: boolean;
    readonly arrayValue?: { readonly values: readonly { readonly stringValue: string }[] };
  };
}

function attributesOf(list: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(
    list.map(({ key, value: { stringValue, intValue, doubleValue, boolValue, arrayValue } }) => [
      key,
      stringValue ?? (intValue === undefined ? (doubleValue ?? boolValue ?? arrayValue?.values.map((one) => one.stringValue)) : Number(intValue)),
    ]),
  );
}

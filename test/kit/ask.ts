import http from 'node:http';

/** An answer as it came, nothing unpacked. */
export interface Asked {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** Did all of it come? */
  readonly complete: boolean;
}

export interface Question {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string;
}

/** One request on a connection of its own. */
export function ask(port: number, { method = 'GET', path = '/', headers = {}, body }: Question = {}): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      const done = (): void => {
        const all = Buffer.concat(chunks);
        resolve({ status: response.statusCode!, headers: response.headers, body: all, text: all.toString('utf8'), complete: response.complete });
      };
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => {});
      response.on('close', done);
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** A file of one server and one location in front of `port`, with these plugins in the order in which they stand. */
export function fileWithPlugins(port: number, sections: string, more = ''): string {
  const names = [...sections.matchAll(/^\[plugins\.([\w-]+)\]$/gm)].map(([, name]) => `"${name}"`);
  return `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
plugins = [${names.join(', ')}]
${more}
[upstreams.one]
addrs = ["127.0.0.1:${port}"]
${sections}`;
}

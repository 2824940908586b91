import { type Asked, type RouterDialect, RouterPeer, type RouterSocket } from './cranker-router-peer.ts';
import { HEADER } from './cranker-peer.ts';
import { until } from './until.ts';

/** A whole router of the family, clients included: it gives each request to the connector that has had the fewest, and closes what deregisters. */
export class OldRouter {
  readonly peer: RouterPeer;
  readonly #busy = new Set<RouterSocket>();
  readonly #leaving = new Set<string>();
  readonly #counts = new Map<string, number>();
  readonly #ids = new Map<RouterSocket, number>();

  readonly #dialect: RouterDialect;

  private constructor(peer: RouterPeer, dialect: RouterDialect) {
    this.peer = peer;
    this.#dialect = dialect;
    peer.onDeregister = (farewell) => {
      const id = idOf(farewell.asked);
      this.#leaving.add(id);
      for (const socket of peer.open) if (idOf(socket.asked) === id && !this.#busy.has(socket)) socket.close(1001, 'Going away');
      farewell.close(1000, 'Deregister complete');
    };
  }

  static async start(dialect: RouterDialect): Promise<OldRouter> {
    return new OldRouter(await RouterPeer.start(dialect), dialect);
  }

  get port(): number {
    return this.peer.port;
  }

  /** Component names of those who are registered. */
  get components(): string[] {
    return [...new Set(this.peer.open.map(({ asked }) => asked.query.get('componentName') ?? ''))];
  }

  /** A client's GET. @returns the body of the answer @throws when it is no whole 200 */
  async ask(target: string): Promise<string> {
    const socket = await until('an idle socket at the old router', () => this.#take());
    const id = idOf(socket.asked);
    const head = `GET ${target} HTTP/1.1\nhost:app.example\nvia:HTTP/1.1 muc\n\n`;
    if (!this.#speaks3(socket)) {
      const { head: said, body, code } = await socket.ask1(head.slice(0, -1));
      return whole(said, body, code === 1000);
    }
    const stream = (this.#ids.get(socket) ?? 0) + 1;
    this.#ids.set(socket, stream);
    const { head: said, body, code } = await socket.send3(HEADER, 5, stream, head).answer3(stream);
    this.#busy.delete(socket);
    if (this.#leaving.has(id)) socket.close(1001, 'Going away');
    return whole(said, body, code === 0);
  }

  #take(): RouterSocket | undefined {
    const count = ({ asked }: RouterSocket): number => this.#counts.get(idOf(asked)) ?? 0;
    const [socket] = this.peer.open
      .filter((socket) => !this.#busy.has(socket) && !this.#leaving.has(idOf(socket.asked)))
      .toSorted((a, b) => count(a) - count(b));
    if (socket === undefined) return undefined;
    this.#busy.add(socket);
    this.#counts.set(idOf(socket.asked), count(socket) + 1);
    return socket;
  }

  /** By what it answered when the socket was opened. */
  #speaks3({ asked }: RouterSocket): boolean {
    const said = this.#dialect(asked);
    return typeof said !== 'string' && said.includes('Sec-WebSocket-Protocol: cranker_3.0');
  }

  close(): void {
    this.peer.close();
  }
}

function idOf(asked: Asked): string {
  return asked.query.get('connectorInstanceID') ?? '';
}

function whole(head: string, body: Buffer, ended: boolean): string {
  if (!head.startsWith('HTTP/1.1 200 ') || !ended) throw new Error(`the old router got: ${head}`);
  return body.toString();
}

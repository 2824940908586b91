import net from 'node:net';
import { type Ending } from './answer.ts';
import { RawClient } from './client.ts';

/** One connection to a scripted origin. What the proxy says is in `stream`, `text`, `until()`; what to say back goes through `send()`. */
export class OriginConnection extends RawClient {
  /** From 1. */
  readonly number: number;

  constructor(socket: net.Socket, number: number) {
    super(socket);
    this.number = number;
  }

  /** Waits for the `count`-th head. @returns all that came so far */
  async head(count = 1): Promise<string> {
    await this.until((self) => self.text.split('\r\n\r\n').length > count, `head number ${count}`);
    return this.text;
  }

  /** Sends what is written, then FIN. */
  end(): void {
    this.socket.end();
  }
}

export type Script = (connection: OriginConnection) => Promise<void> | void;

/** An origin that does what its script says, byte by byte: for all that node:http would not do. */
export class ScriptedOrigin {
  readonly server: net.Server;
  readonly connections: OriginConnection[] = [];
  /** What scripts failed with, but for connections that ended before they were through. */
  readonly troubles: unknown[] = [];

  constructor(script: Script) {
    this.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const connection = new OriginConnection(socket, this.connections.length + 1);
      this.connections.push(connection);
      void this.#run(script, connection);
    });
  }

  async #run(script: Script, connection: OriginConnection): Promise<void> {
    try {
      await script(connection);
    } catch (error) {
      if (connection.ending === 'open') this.troubles.push(error);
    }
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  /** Bytes that reached it, over all connections. */
  get bytes(): number {
    return this.connections.reduce((sum, connection) => sum + connection.heardBytes, 0);
  }

  get text(): string {
    return this.connections.map((connection) => connection.text).join('');
  }

  /** How the proxy's side of each connection stands. */
  get endings(): Ending[] {
    return this.connections.map((connection) => connection.ending);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const { socket } of this.connections) socket.destroy();
    await closed;
  }
}

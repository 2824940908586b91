/** What tests may look at and change. */
export interface MockWorld {
  readonly agents: { id: string; name: string; state: string; labels: Record<string, string> }[];
  readonly waiting: { id: string }[];
  readonly traffic: { id: string; method: string; status: number; target: string }[];
  readonly settings: { enabled: boolean; size: number };
  say(event: string, data: unknown): void;
  exchange(atMs: number): { id: string };
}

export interface Mock {
  readonly url: string;
  readonly port: number;
  readonly world: MockWorld;
  /** Method, path and query of all that came. */
  readonly requests: string[];
  forget(): void;
  close(): Promise<void>;
}

export interface MockOptions {
  readonly port?: number;
  readonly files?: string;
  readonly under?: string;
  readonly loggedIn?: boolean;
  readonly role?: 'read' | 'operate' | 'admin';
  readonly routes?: Readonly<
    Record<string, (asked: { query: URLSearchParams; parameters: Record<string, string>; body: unknown; world: MockWorld }) => unknown>
  >;
  readonly tickMs?: number;
  readonly agents?: number;
  readonly unwell?: boolean;
  readonly inspector?: boolean;
  readonly quiet?: boolean;
  readonly kind?: 'gateway' | 'hub';
  readonly hostile?: string | null;
}

export function startMock(options?: MockOptions): Promise<Mock>;

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { FileRecords } from '../../store/file-records.ts';
import { type RecordForm, type Records, StoreError } from '../../store/records.ts';
import { fieldOf } from './problem.ts';

/** An account with an authority; its id in the store is the directory's URL and the mail address. */
export interface AccountRecord {
  /** PEM. */
  readonly key: string;
  /** Where the server keeps it; '' = it has not been asked yet. */
  readonly url: string;
}

/** What was ordered for some names; its id is the directory's URL, the kind of key and the names. */
export interface CertificateRecord {
  /** PEM; '' = none came yet. */
  readonly chain: string;
  readonly key: string;
  /** When it expires, wall-clock ms. */
  readonly notAfterMs: number;
  /** Orders of the last hour, whatever came of them, wall-clock ms: a program that starts again and again must not order each time. */
  readonly orders: readonly number[];
  /** The server wants no order before this, wall-clock ms. */
  readonly heldUntilMs: number;
}

/** What outlives the process. */
export interface AcmeStore {
  readonly accounts: Records<AccountRecord>;
  readonly certificates: Records<CertificateRecord>;
}

/** Files below a folder, which is made; for their owner alone. @throws StoreError */
export async function openAcmeStore(stateDir: string): Promise<AcmeStore> {
  const folder = join(stateDir, 'acme');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StoreError(`${folder} cannot be made (${(error as NodeJS.ErrnoException).code ?? 'unknown'}); give another folder with --state-dir`);
  }
  return {
    accounts: await opened(join(folder, 'accounts.json'), accountForm),
    certificates: await opened(join(folder, 'certificates.json'), certificateForm),
  };
}

async function opened<T>(path: string, form: RecordForm<T>): Promise<Records<T>> {
  const records = new FileRecords(path, form);
  if (!existsSync(path)) await records.change(() => {});
  await records.all();
  return records;
}

const accountForm: RecordForm<AccountRecord> = {
  kind: 'ACME accounts',
  read: (value) => ({ key: textIn(value, 'key'), url: textIn(value, 'url') }),
  write: (record) => record,
};

const certificateForm: RecordForm<CertificateRecord> = {
  kind: 'ACME certificates',
  read: (value) => {
    const orders = fieldOf(value, 'orders');
    if (!Array.isArray(orders) || !orders.every((at) => typeof at === 'number')) throw new Error('has no list of orders');
    return {
      chain: textIn(value, 'chain'),
      key: textIn(value, 'key'),
      notAfterMs: numberIn(value, 'notAfterMs'),
      orders,
      heldUntilMs: numberIn(value, 'heldUntilMs'),
    };
  },
  write: (record) => record,
};

function textIn(value: unknown, name: string): string {
  const text = fieldOf(value, name);
  if (typeof text !== 'string') throw new Error(`has no text ${name}`);
  return text;
}

function numberIn(value: unknown, name: string): number {
  const number = fieldOf(value, name);
  if (typeof number !== 'number') throw new Error(`has no number ${name}`);
  return number;
}
